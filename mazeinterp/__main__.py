"""`python -m mazeinterp`: the same as the command `mazeinterp`."""

from .cli import main

if __name__ == "__main__":
    main()
