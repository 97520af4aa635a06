"""Squares and cells: which cell looks at a square, measured in a network that shows what it sees."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from mazeinterp.edits import cell_of, squares_of
from mazeinterp.maze.rendering import sprites
from mazeinterp.maze.worlds import MODES, Mode
from mazeinterp.policy import ImpalaPolicy


@pytest.fixture(scope="module")
def middles() -> dict[int, NDArray[np.float64]]:
    """For each size of layer, the pixel that each cell looks around, measured: float64 [size].

    In a network of positive kernels, a white column of pixels on black lights up just the cells that see it. The middle
    of what a cell sees is taken where the picture's edge cuts nothing off, and continued in a straight line.
    """
    policy = ImpalaPolicy()
    with torch.no_grad():
        for name, parameter in policy.named_parameters():  # without the residual branches, which see too far
            parameter.fill_(0 if parameter.ndim == 1 or "res" in name else 1)
    seen: dict[str, Tensor] = {}
    columns = torch.eye(64)[:, None, None, :].expand(64, 3, 64, 64)
    policy(columns, tap=lambda name, activation: seen.setdefault(name, activation))
    looks_at = {}
    for block, size in ((1, 32), (2, 16), (3, 8)):
        sees = seen[f"embedder.block{block}.maxpool_out"][:, 0, size // 2].detach().numpy() > 0  # [pixel column, cell]
        whole = np.flatnonzero(~sees[0] & ~sees[-1])
        centres = [np.flatnonzero(sees[:, cell])[[0, -1]].mean() for cell in whole]
        assert len(whole) > 2
        looks_at[size] = np.polyval(np.polyfit(whole, centres, 1), np.arange(size))
    return looks_at


@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_square_belongs_to_the_cell_that_looks_at_it(middles: dict[int, NDArray[np.float64]], mode: Mode) -> None:
    table, world = sprites(mode), MODES[mode]
    for size, looks_at in middles.items():
        for x, y in zip(range(world), reversed(range(world)), strict=True):
            cell = cell_of((x, y), size, mode)
            for found, pixels in zip(cell, (table.rows == y, table.columns == x), strict=True):
                distance = np.abs(looks_at - np.flatnonzero(pixels).mean())
                assert distance[found] == pytest.approx(distance.min(), abs=1e-9), (size, x, y)


@given(size=st.sampled_from([64, 32, 16, 8]), mode=st.sampled_from(sorted(MODES)), data=st.data())
def test_cells_and_squares_are_inverse(size: int, mode: Mode, data: st.DataObject) -> None:
    cell = data.draw(st.tuples(*[st.integers(0, size - 1)] * 2))
    assert all(cell_of(square, size, mode) == cell for square in squares_of(cell, size, mode))
    square = data.draw(st.tuples(*[st.integers(0, MODES[mode] - 1)] * 2))
    assert square in squares_of(cell_of(square, size, mode), size, mode)


def test_rows_run_down_and_columns_right() -> None:
    cells = np.array([[cell_of((x, y), 16) for x in range(25)] for y in range(25)])
    assert (np.diff(cells[:, :, 0], axis=0) <= 0).all()
    assert (np.diff(cells[:, :, 1], axis=1) >= 0).all()
    assert cell_of((0, 24), 16) == (0, 0)
    assert cell_of((24, 0), 16) == (15, 15)
    assert len(squares_of(cell_of((12, 12), 8), 8)) > 4, "several squares share a cell"


def test_cells_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="12 cells a side; they have 64, 32, 16 or 8"):
        cell_of((0, 0), 12)
    with pytest.raises(ValueError, match="outside a layer of 8 × 8"):
        squares_of((8, 0), 8)
