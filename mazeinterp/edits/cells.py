"""Maze squares and the cells of a layer: which cell of an activation looks at a square.

An observation has 64 × 64 pixels, a layer 64, 32, 16 or 8 cells a side: one for every 1, 2, 4 or 8 pixels. In an
`ImpalaPolicy` every convolution looks evenly to both sides, and each pooling, 3 × 3 with stride 2 and padding 1, puts
its cell j around cell 2j of the layer below. So cell j of a layer with stride s looks at pixel s·j and evenly around
it: not at the middle of pixels s·j … s·j + s − 1, which lies up to 3.5 pixels further right and down. A square
belongs to the cell whose pixel is nearest to the middle of the square's own pixels, as measured from the game
(`mazeinterp.maze.rendering.sprites`); of two as near, to the one further left or up. A `hard` square is 2 or 3 pixels
wide, so several squares share a cell of 16 × 16 or 8 × 8, and in 32 × 32 some cells have no square.

This is where the architecture makes a cell look. What a trained channel has learnt to respond to may lie half a cell
off, more for some channels than for others; `record` shows it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..maze.rendering import SIDE, sprites
from ..maze.worlds import Mode, Square, world_of

Cell = tuple[int, int]


def cell_of(square: Square, size: int, mode: Mode = "hard") -> Cell:
    """The cell of a layer of an `ImpalaPolicy` that looks at a maze square.

    Args:
        square: world coordinates (x, y), y up.
        size: cells a side: 64, 32, 16 or 8.
        mode: "hard" or "easy".

    Returns:
        (row, column) of the cell, row 0 at the top.

    Raises:
        ValueError: the square is outside the world, there is no layer of that size, or the mode is unknown.

    >>> cell_of((0, 0), size=16)
    (15, 0)
    """
    x, y = square
    world = world_of(mode)
    if not (0 <= x < world and 0 <= y < world):
        raise ValueError(f"square {(x, y)} is outside the {world} × {world} world")
    rows, columns = _cells(size, mode)
    return int(rows[y]), int(columns[x])


def squares_of(cell: Cell, size: int, mode: Mode = "hard") -> list[Square]:
    """The maze squares that belong to a cell of a layer: those whose `cell_of` it is. Often several, sometimes none.

    Args:
        cell: (row, column), row 0 at the top.
        size: cells a side: 64, 32, 16 or 8.
        mode: "hard" or "easy".

    Raises:
        ValueError: the cell is outside the layer, there is no layer of that size, or the mode is unknown.
    """
    row, column = cell
    rows, columns = _cells(size, mode)
    if not (0 <= row < size and 0 <= column < size):
        raise ValueError(f"cell {(row, column)} is outside a layer of {size} × {size}")
    return [(x, y) for x in np.flatnonzero(columns == column).tolist() for y in np.flatnonzero(rows == row).tolist()]


def _cells(size: int, mode: Mode) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row of every y and the column of every x: int64 [world] each."""
    if size not in (64, 32, 16, 8):
        raise ValueError(f"no layer of an ImpalaPolicy has {size} cells a side; they have 64, 32, 16 or 8")
    table = sprites(mode)

    def place(first: NDArray[np.int64], extent: NDArray[np.int64]) -> NDArray[np.int64]:
        middle = first + (extent - 1) / 2  # in pixels, whose own middles are whole numbers
        nearest = np.ceil(middle * size / SIDE - 0.5).astype(np.int64)
        return np.minimum(nearest, size - 1)  # beyond the last cell's pixel there is no further cell

    return place(table.top, table.height), place(table.left, table.width)
