"""The command line: which commands there are, and what happens to their errors."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any

import tyro

from .edits.parameters import nearest

COMMANDS: dict[str, tuple[str, str]] = {
    "field": (
        "commands.field:field",
        "Draws a network's vector field in a maze; with edits, before, after and difference.",
    ),
    "outcomes": (
        "commands.outcomes:outcomes",
        "Measures what becomes of the mouse in a set of mazes, with and without edits.",
    ),
    "vector": ("commands.vector:VECTORS", "Computes steering vectors and saves them."),
    "sweep": ("commands.sweep:SWEEPS", "What a steering vector does by coefficient, layer, place and origin."),
    "video": ("commands.video:video", "Films an episode; with edits, the unedited and the edited mouse side by side."),
    "explore": ("explorer.command:explore", "Opens a page to edit mazes and forward passes with the mouse."),
    "reproduce": (
        "reproduction.command:reproduce",
        "Measures the published results again, and reports both side by side.",
    ),
    "evaluate": ("commands.evaluate:evaluate", "Measures a network on held-out levels."),
    "train": ("commands.train:train", "Trains a network."),
    "policies": ("commands.catalogue:policies", "Lists the trained networks: what `--policy` may name."),
    "edits": ("commands.catalogue:edits", "Lists the edits and the named vectors, with their parameters."),
    "procgen": ("commands.procgen:procgen", "Fetches the real procgen's library, or says where it is."),
}
"""A line for each command: where it is, and what the list of commands says of it.

It is `module:attribute` of this package: a function, or for a family of commands a dict of functions by name. Only the
command that is called gets loaded; so the list needs neither torch nor anything else that takes time. A new command
is a new line here.
"""

HELP = ("-h", "--help")


def main() -> None:
    """Runs a command; what is wrong with its input ends it with a message and exit code 2."""
    name, *words = sys.argv[1:] or HELP[-1:]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell_warning
            if name in HELP:
                tyro.extras.subcommand_cli_from_dict(
                    _listed(), prog="mazeinterp", description=_DESCRIPTION, args=[name]
                )
            elif name == "--version":
                print(version("mazeinterp"))
            else:
                _run(f"mazeinterp {name}", load(name), words)
    except BrokenPipeError:  # whoever read the output, such as `head`, has had enough
        sys.stdout = None  # so that nothing is flushed into it at the end
        sys.exit(1)
    except (ValueError, OSError) as error:
        # The system's own errors come with a number that tells people nothing.
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            message = f"{error.filename}: {error.strerror}"
        else:
            message = str(error)
        print(f"mazeinterp: {message}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("mazeinterp: stopped", file=sys.stderr)
        sys.exit(130)


def load(name: str) -> Any:
    """The function, or for a family the dict of functions, that a command's name stands for.

    Raises:
        ValueError: there is no such command.
    """
    if name not in COMMANDS:
        raise ValueError(f"unknown command {name!r}; {nearest(name, COMMANDS)}; mazeinterp --help lists all")
    module, _, attribute = COMMANDS[name][0].partition(":")
    return getattr(import_module(f".{module}", __package__), attribute)


_DESCRIPTION = """What does a maze-solving network want, and how can we change it without retraining?

Each command says more with --help. A first one to try:

    mazeinterp field --level 26 --edit "add(cheese, -1.0)"
"""


def _run(prog: str, command: Any, words: list[str]) -> None:
    if not isinstance(command, dict):
        tyro.cli(command, prog=prog, args=words, config=(tyro.conf.CascadeSubcommandArgs,))
        return
    kind, *rest = words or HELP[-1:]
    if kind in HELP:
        tyro.extras.subcommand_cli_from_dict(command, prog=prog, args=[kind])
    elif kind in command:
        _run(f"{prog} {kind}", command[kind], rest)
    else:
        raise ValueError(
            f"unknown command {prog.split()[-1]} {kind!r}; {nearest(kind, command)}; {prog} --help lists all"
        )


def _listed() -> dict[str, Callable[[], None]]:
    """Stand-ins for the commands, for the list of them."""

    def stand_in(summary: str) -> Callable[[], None]:
        def command() -> None: ...

        command.__doc__ = summary
        return command

    return {name: stand_in(summary) for name, (_, summary) in COMMANDS.items()}


def _tell_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"mazeinterp: note: {message}", file=sys.stderr)
