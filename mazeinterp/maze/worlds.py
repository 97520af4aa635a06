"""Modes, level seeds and squares, and the checks that arrays of levels pass before anything is made of them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .generation import BACKGROUNDS, CHEESE, FREE, STOCK_PLACEMENT, WALL

Mode = Literal["hard", "easy"]

Square = tuple[int, int]
"""World coordinates (x, y): x to the right, y up, the origin at the bottom left."""

MODES: dict[str, int] = {"hard": 25, "easy": 15}
"""Side of the world in cells, by distribution mode."""

SEEDS = 2**31
"""Level seeds lie in [0, 2³¹)."""

NO_SEED = -1
"""In an array of seeds: a grid of one's own."""


def world_of(mode: str) -> int:
    """Side of a mode's world, in cells.

    Raises:
        ValueError: for a mode that is not one of `MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; the modes are {', '.join(map(repr, MODES))}")
    return MODES[mode]


def mode_of(world: int) -> Mode:
    """The mode whose world has this side."""
    return cast(Mode, next(mode for mode, side in MODES.items() if side == world))


def square_of(array: NDArray[np.integer[Any]]) -> Square:
    """A square as a tuple, of an array int [2]."""
    return int(array[0]), int(array[1])


def region_code(cheese_region: int | None) -> int:
    """The kernels' code for a cheese region: −1 for procgen's own placement, else the region.

    Raises:
        ValueError: if the region is neither None nor an integer ≥ 0.
    """
    if cheese_region is None:
        return STOCK_PLACEMENT
    if isinstance(cheese_region, bool) or not isinstance(cheese_region, int | np.integer) or cheese_region < 0:
        raise ValueError(f"cheese_region is {cheese_region!r}; it must be None (procgen's placement) or an integer ≥ 0")
    return int(cheese_region)


def checked_seeds(seeds: ArrayLike) -> NDArray[np.int64]:
    """Level seeds as int64 [n].

    Raises:
        ValueError: if they are no sequence of integers in [0, 2³¹).
    """
    array = np.asarray(seeds)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"seeds must be a sequence of integers, not an array of {array.dtype}, shape {array.shape}")
    wrong = array[(array < 0) | (array >= SEEDS)]
    if wrong.size:
        raise ValueError(f"level seed {wrong[0]} is out of range; level seeds lie in [0, 2**31)")
    return array.astype(np.int64)


def checked_grids(grid: ArrayLike) -> NDArray[np.uint8]:
    """Grids as contiguous uint8 [n, world, world].

    Raises:
        ValueError: for another shape, type or code.
    """
    array = np.asarray(grid)
    if array.ndim != 3 or array.shape[1] != array.shape[2] or array.shape[1] not in MODES.values():
        raise ValueError(f"a grid is 25 × 25 (hard) or 15 × 15 (easy); this one has shape {array.shape[1:]}")
    if not np.issubdtype(array.dtype, np.integer) or (array.size and not (array.min() >= 0 and array.max() <= CHEESE)):
        wrong = next((v for v in np.unique(array) if v not in (FREE, WALL, CHEESE)), array.dtype)
        raise ValueError(f"a grid holds the integers 0 (free), 1 (wall) and 2 (cheese); this one holds {wrong}")
    return np.ascontiguousarray(array, np.uint8)


def checked_squares(squares: ArrayLike, grid: NDArray[np.uint8], what: str) -> NDArray[np.int64]:
    """Squares where a mouse or a cheese may be, as contiguous int64 [n, 2].

    Args:
        squares: int [n, 2].
        grid: uint8 [n, world, world], the grids that they lie in.
        what: what stands there, for the message of an error.

    Raises:
        ValueError: for another shape or type, or a square outside the world or in a wall.
    """
    array, (n, world, _) = np.asarray(squares), grid.shape
    if array.shape != (n, 2) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"squares (x, y) are integers of shape ({n}, 2); these are {array.dtype} of shape {array.shape}"
        )
    outside = ((array < 0) | (array >= world)).any(axis=1)
    if outside.any():
        raise ValueError(f"the {what} at {square_of(array[outside][0])} is outside the {world} × {world} world")
    walled = grid[np.arange(n), array[:, 1], array[:, 0]] == WALL
    if walled.any():
        raise ValueError(f"the {what} stands in the wall at {square_of(array[walled][0])}; put it on an open square")
    return np.ascontiguousarray(array, np.int64)


class _Column(NamedTuple):
    """What an array of one number a level may hold."""

    accepts: Any  # numpy's abstract type
    dtype: type[np.generic]
    default: int
    low: int
    high: int


_COLUMNS = {
    "background": _Column(np.integer, np.uint8, 0, 0, BACKGROUNDS - 1),
    "reflected": _Column(np.bool_, np.bool_, 0, 0, 1),
    "seed": _Column(np.integer, np.int64, NO_SEED, NO_SEED, SEEDS - 1),
    "edited": _Column(np.bool_, np.bool_, 0, 0, 1),
    "maze_dim": _Column(np.integer, np.int64, 0, 0, max(MODES.values())),
}


def checked_column(name: str, given: ArrayLike | None, n: int) -> NDArray[Any]:
    """One of the arrays [n] that hold a number or flag for each level, of its own type, contiguous.

    Args:
        name: background, reflected, seed, edited or maze_dim.
        given: its values; None for the default everywhere.
        n: number of levels.

    Raises:
        ValueError: for another shape or type, or a value out of range.
    """
    column = _COLUMNS[name]
    if given is None:
        return np.full(n, column.default, column.dtype)
    array = np.asarray(given)
    if array.shape != (n,) or (n and not np.issubdtype(array.dtype, column.accepts)):
        kind = column.accepts.__name__.rstrip("_")
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}; it must be {kind} of shape ({n},)")
    wrong = array[(array < column.low) | (array > column.high)]
    if wrong.size:
        raise ValueError(f"{name} {wrong[0]} is out of range; it must lie in [{column.low}, {column.high}]")
    return np.ascontiguousarray(array, column.dtype)
