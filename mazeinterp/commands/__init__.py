"""The commands behind `mazeinterp`: a file for each, or for a family that belongs together.

A command is a function. Its parameters are its flags (`options` holds those that several share, with their help), its
docstring is its help and ends with an example, and what it has to say goes through a `Report`: tables or JSON. A module
here loads what is heavy inside its functions, so that a mistyped flag is told at once. To add a command, write the
function and give it a line in `mazeinterp.cli.COMMANDS`.
"""
