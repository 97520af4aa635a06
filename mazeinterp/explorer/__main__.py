"""`python -m mazeinterp.explorer`: what `mazeinterp explore` does."""

import tyro

from .command import explore

if __name__ == "__main__":
    tyro.cli(explore)
