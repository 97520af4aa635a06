"""Levels to probe a network with, and where things are in them: squares, cells and masks."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..edits.cells import cell_of
from ..maze.generation import FREE, WALL
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import corner, distances
from ..maze.worlds import NO_SEED, Mode, world_of
from .evaluation import HEADLINE_DIM, REPORTING_SEEDS

Split = Literal["choosing", "reporting"]

Thing = Literal["cheese", "mouse", "wall", "corner", "path"]
THINGS: tuple[Thing, ...] = get_args(Thing)
"""What a channel may tell. A wall is told from open squares, the others from the maze's other open squares; the path is
the shortest one from mouse to cheese without these two."""

SINGLE: tuple[Thing, ...] = ("cheese", "mouse", "corner")
"""Of these, those that are one square."""


def probing_levels(n: int, split: Split, *, mode: Mode = "hard", seed: int = 0) -> Levels:
    """Levels to probe a network with: mazes of side 7 or more, cheese anywhere, the mouse on a random free square.

    The mouse stands anywhere because it does so whenever the network is asked; were it always at its start, a channel
    that mistakes the mouse for the cheese would pass in most mazes.

    Args:
        n: number of levels, at least 1.
        split: "choosing" takes seeds from 500,000 up, "reporting" those from 0.
        mode: "hard" or "easy".
        seed: of the mice's squares; a level's depends on its own seed too, and on nothing else.

    Raises:
        ValueError: if n is out of its range, or the split or the mode is unknown.
    """
    if split not in get_args(Split):
        raise ValueError(f"unknown split {split!r}; one of {', '.join(get_args(Split))}")
    first = REPORTING_SEEDS if split == "choosing" else 0
    if not 1 <= n <= REPORTING_SEEDS // 2:
        raise ValueError(f"n is {n}; there are 1 to {REPORTING_SEEDS // 2} levels for {split}")
    levels = Levels.from_seeds(np.arange(first, first + 2 * n + 20), mode)
    levels = levels[levels.maze_dim >= HEADLINE_DIM][:n]
    return levels.with_mouse(_random_squares(levels, levels.grid == FREE, seed, 0))


def split_by_maze(choosing: LevelsLike, reporting: LevelsLike) -> tuple[Levels, Levels]:
    """Both sets of levels, those for reporting without any whose walls occur among those for choosing.

    Args:
        choosing: levels to fit and to choose on.
        reporting: levels to report on.

    Raises:
        ValueError: if fewer than two of either are left: too few to say anything of both.
    """
    first, second = Levels.stack(choosing), Levels.stack(reporting)
    seen = {walls.tobytes() for walls in first.grid == WALL}
    second = second[np.array([walls.tobytes() not in seen for walls in second.grid == WALL], bool)]
    if len(first) < 2 or len(second) < 2:
        raise ValueError(
            f"{len(first)} levels for choosing and {len(second)} with other mazes for reporting are too few to split; "
            "give at least two of each (probing_levels makes them)"
        )
    return first, second


def moved_cheese(levels: LevelsLike, seed: int = 0) -> Levels:
    """The same levels with the cheese on another free square, half the maze's side away or more, in x or in y.

    Args:
        levels: Levels, a Level or a sequence of Level, with one cheese each.
        seed: of the squares; a level's depends on its own seed too, and on nothing else.

    Raises:
        ValueError: if a level has no cheese or several, or nowhere to move it to.
    """
    batch = with_one_cheese(levels)
    y, x = np.mgrid[: batch.world, : batch.world]
    cheese = batch.cheese[:, :, None, None]
    away = np.maximum(np.abs(x - cheese[:, 0]), np.abs(y - cheese[:, 1]))
    side = np.where(batch.maze_dim > 0, batch.maze_dim, batch.world)
    allowed = (batch.grid == FREE) & (away >= (side[:, None, None] - 1) // 2)
    allowed[np.arange(len(batch)), batch.mouse[:, 1], batch.mouse[:, 0]] = False
    return batch.with_cheese(_random_squares(batch, allowed, seed, 1))


def with_one_cheese(levels: LevelsLike) -> Levels:
    """The levels as a batch.

    Raises:
        ValueError: if one has no cheese, or several.
    """
    batch = Levels.stack(levels)
    lacking = batch.cheese[:, 0] < 0  # raises where a level has several
    if lacking.any():
        raise ValueError(f"level {int(lacking.argmax())} has no cheese, and one is needed")
    return batch


@cache
def cell_table(size: int, mode: Mode) -> NDArray[np.int64]:
    """The cell of every square, by `cell_of`: int64 [world, world, 2], indexed [y, x], (row, column)."""
    world = world_of(mode)
    return np.array([[cell_of((x, y), size, mode) for x in range(world)] for y in range(world)])


def cells_at(squares: NDArray[np.int64], size: int, mode: Mode) -> NDArray[np.int64]:
    """The cells (row, column) of squares (x, y): int64 [n, 2]."""
    return cell_table(size, mode)[squares[:, 1], squares[:, 0]]


def masks_of(levels: Levels) -> dict[Thing, NDArray[np.bool_]]:
    """Where things are: bool [n, world, world] each, indexed [level, y, x], all false where a level has none.

    Walls are those within the maze. There is no corner where the mouse or the cheese is on it.
    """
    n, world = len(levels), levels.world
    rows, cheese, top_right = np.arange(n), levels.cheese, corner(levels)

    def at(squares: NDArray[np.int64]) -> NDArray[np.bool_]:
        mask = np.zeros((n, world, world), bool)
        mask[rows, squares[:, 1], squares[:, 0]] = True
        return mask

    mouse, goal, end = at(levels.mouse), at(cheese), at(top_right)
    to_cheese, walked = distances(levels, cheese), distances(levels, levels.mouse)
    steps = walked[rows, cheese[:, 1], cheese[:, 0]][:, None, None]
    path = (walked >= 0) & (to_cheese >= 0) & (walked + to_cheese == steps) & ~mouse & ~goal
    cells = np.arange(world)
    margin = np.where(levels.maze_dim > 0, (world - levels.maze_dim) // 2, 0)[:, None]
    within = (cells >= margin) & (cells < world - margin)
    wall = (levels.grid == WALL) & within[:, :, None] & within[:, None, :]
    return {"cheese": goal, "mouse": mouse, "wall": wall, "corner": end & ~mouse & ~goal, "path": path}


def _random_squares(levels: Levels, allowed: NDArray[np.bool_], seed: int, purpose: int) -> NDArray[np.int64]:
    """One of the allowed squares of each level, int64 [n, 2], keyed by seed, purpose and level seed."""
    squares = np.empty((len(levels), 2), np.int64)
    for i, mask in enumerate(allowed):
        y, x = np.nonzero(mask)
        if not len(x):
            raise ValueError(f"level {i} of the batch has no free square for this; its maze is too small")
        own = int(levels.seed[i]) if levels.seed[i] != NO_SEED else i
        pick = int(np.random.default_rng([seed, purpose, own]).integers(len(x)))
        squares[i] = x[pick], y[pick]
    return squares
