"""The policy table: what a policy would do on every square of a level, and how it values being there.

The mouse has no memory and the maze does not move, so a policy's answers on every (square, facing) are all there is
to know about it in a level: vector fields, outcomes and episodes follow from them without running the network again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numba import njit
from numpy.typing import NDArray
from tqdm import tqdm

from ..maze.generation import FREE
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import MOVES
from ..maze.rendering import SIDE, Sprites, draw_maze, draw_mouse, sprites
from ..policy.network import Policy, move_probabilities

FACINGS = (False, True)
"""The mouse's facings, by index: unreflected, reflected."""

LEVELS_AT_A_TIME = 64
"""Levels in each of a stream of tables, unless said otherwise: 1 MB of answers at most."""

_CPU_BATCH, _ACCELERATOR_BATCH = 16, 1024
"""Observations in a forward pass. On a CPU, activations of more than these fall out of its caches."""


@dataclass(frozen=True, eq=False)
class PolicyTable:
    """A policy's answers on every free square of some levels.

    Level i's rows are `start[i] : start[i + 1]`, its free squares by y, then x. The cheese's square is not among
    them: an episode ends there.

    Attributes:
        levels: the levels, n of them.
        facings: the facings that were asked, f of them; both by default.
        start: int64 [n + 1], first row of each level, and the number of rows, r.
        square: int64 [r, 2], squares (x, y).
        moves: float32 [r, f, 5], probabilities of the moves, in the order of `MOVES`.
        value: float32 [r, f], the value head's expected return, in units of reward.
        first: position of `levels[0]` in the batch that the table is a part of; counts in data frames.
    """

    levels: Levels
    facings: tuple[bool, ...]
    start: NDArray[np.int64]
    square: NDArray[np.int64]
    moves: NDArray[np.float32]
    value: NDArray[np.float32]
    first: int = 0

    @staticmethod
    def from_moves(levels: LevelsLike, moves: NDArray[np.floating | np.bool_]) -> PolicyTable:
        """The table of a mouse whose moves are written down: they depend on its square, not on its facing.

        Args:
            levels: Levels, a Level or a sequence of Level.
            moves: [n, world, world, 5], indexed [level, y, x, move]: probabilities of the moves, read on the free
                squares only.

        Returns:
            A table of both facings, its values NaN.

        Raises:
            ValueError: if the shape is wrong, or the probabilities on a free square are negative or do not add up to 1.
        """
        batch = Levels.stack(levels)
        if moves.shape != (*batch.grid.shape, len(MOVES)):
            raise ValueError(f"moves have shape {moves.shape}; {(*batch.grid.shape, len(MOVES))} is needed")
        start, square = _free_squares(batch)
        there = moves[batch.grid == FREE].astype(np.float32)
        wrong = ~((there >= 0).all(axis=1) & (np.abs(there.sum(axis=1) - 1) < 1e-5))
        if wrong.any():
            raise ValueError(f"the probabilities {there[wrong][0]} on {square[wrong][0]} are not those of five moves")
        both = np.repeat(there[:, None], len(FACINGS), axis=1)
        return PolicyTable(batch, FACINGS, start, square, both, np.full(both.shape[:2], np.nan, np.float32))

    def __len__(self) -> int:
        """Number of levels."""
        return len(self.levels)

    def grid(self, i: int, reflected: bool = False) -> NDArray[np.float32]:
        """Move probabilities in level i: float32 [world, world, 5], indexed [y, x, move], NaN off the free squares.

        Raises:
            IndexError: if there is no level i.
            ValueError: if that facing is not in the table.
        """
        return self._on_grid(i, reflected, self.moves)

    def values(self, i: int, reflected: bool = False) -> NDArray[np.float32]:
        """Values in level i: float32 [world, world], indexed [y, x], in units of reward; else as `grid`."""
        return self._on_grid(i, reflected, self.value)

    def greedy(self) -> PolicyTable:
        """The table of the policy that always makes the most likely move; of equals the first in `MOVES`."""
        most_likely = self.moves.argmax(axis=2)[..., None] == np.arange(len(MOVES))
        return replace(self, moves=most_likely.astype(np.float32))

    def to_frame(self) -> pd.DataFrame:
        """The table in long form, one row for each square and facing.

        Returns:
            Columns level, seed (−1: none), maze_dim (0: none), x, y, reflected, one for each move, and value.
        """
        facings = len(self.facings)
        rows = np.repeat(np.arange(len(self.square)), facings)
        level = np.repeat(np.arange(len(self)), np.diff(self.start))[rows]
        columns = {"x": self.square[rows, 0], "y": self.square[rows, 1]}
        columns["reflected"] = np.tile(self.facings, len(self.square))
        columns |= {move: self.moves[:, :, m].ravel() for m, move in enumerate(MOVES)}
        return pd.DataFrame(level_columns(self.levels, level, self.first) | columns | {"value": self.value.ravel()})

    def _on_grid(self, i: int, reflected: bool, array: NDArray[np.float32]) -> NDArray[np.float32]:
        if not 0 <= i < len(self):
            raise IndexError(f"level {i} of a table of {len(self)}")
        if reflected not in self.facings:
            raise ValueError(f"the table was made without the facing reflected={reflected}; make it with both")
        rows = slice(self.start[i], self.start[i + 1])
        world, squares = self.levels.world, self.square[rows]
        out = np.full((world, world, *array.shape[2:]), np.nan, np.float32)
        out[squares[:, 1], squares[:, 0]] = array[rows, self.facings.index(reflected)]
        return out


def tabulate(
    policy: Policy,
    levels: LevelsLike,
    *,
    facings: Sequence[bool] = FACINGS,
    batch_size: int | None = None,
) -> PolicyTable:
    """Asks a policy what it does on every free square of every level.

    Batches never mix levels, so the answers in a level are the same, bit for bit, in whatever company and order the
    levels come. Another batch size changes them by rounding only, about 1e-6 relative in float32.

    Args:
        policy: the policy, edited or not. It is given `levels` and, for each observation, its row in them.
        levels: Levels, a Level or a sequence of Level. Where their mice stand does not matter.
        facings: which to ask: False unreflected, True reflected. Outcomes need both, a vector field one.
        batch_size: observations in a forward pass; None chooses by the policy's device (16 on a CPU).

    Raises:
        ValueError: if the policy is stochastic, or its answers are not finite; if facings are none or twice the same,
            or the batch size is below 1.
    """
    if getattr(policy, "stochastic", False):
        raise ValueError(
            "this policy is stochastic or depends on time, so no table describes it; play it step by step instead "
            "(mazeinterp.analysis.play)"
        )
    asked = tuple(bool(facing) for facing in facings)
    if not asked or len(set(asked)) < len(asked):
        raise ValueError(f"facings are {facings!r}; they must be (False,), (True,) or both")
    batch = Levels.stack(levels)
    start, square = _free_squares(batch)
    moves = np.empty((len(square), len(asked), len(MOVES)), np.float32)
    value = np.empty((len(square), len(asked)), np.float32)
    for i in range(len(batch)):
        rows = slice(start[i], start[i + 1])
        observations = np.empty((len(square[rows]), len(asked), SIDE, SIDE, 3), np.uint8)
        _draw_states(
            batch.grid[i], batch.background[i], square[rows], np.array(asked), observations, sprites(batch.mode)
        )
        states = observations.reshape(-1, SIDE, SIDE, 3)
        answers, values = run_policy(policy, states, batch, np.full(len(states), i), batch_size=batch_size)
        moves[rows], value[rows] = answers.reshape(-1, *moves.shape[1:]), values.reshape(-1, len(asked))
    return PolicyTable(batch, asked, start, square, moves, value)


def tables(
    policy: Policy, levels: LevelsLike, *, levels_at_a_time: int = LEVELS_AT_A_TIME, batch_size: int | None = None
) -> Iterator[PolicyTable]:
    """Tables of any number of levels in bounded memory: one for each so many levels, both facings, in order.

    Args:
        policy: as for `tabulate`.
        levels: Levels, a Level or a sequence of Level.
        levels_at_a_time: levels in a table. It bounds the memory and does not change an unedited policy's answers.
        batch_size: as for `tabulate`.

    Raises:
        ValueError: as `tabulate`; if levels_at_a_time is below 1.
    """
    if levels_at_a_time < 1:
        raise ValueError(f"levels_at_a_time is {levels_at_a_time}; it must be at least 1")
    batch = Levels.stack(levels)
    with tqdm(total=len(batch), desc="tables", unit="level", delay=1, leave=False) as bar:
        for first in range(0, len(batch), levels_at_a_time):
            part = batch[first : first + levels_at_a_time]
            yield replace(tabulate(policy, part, batch_size=batch_size), first=first)
            bar.update(len(part))


def run_policy(
    policy: Policy,
    observations: NDArray[np.uint8],
    levels: Levels,
    rows: NDArray[np.int64],
    *,
    batch_size: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A policy's answers to observations, in batches of one size, in full float32 on any device, without gradients.

    Args:
        policy: the policy.
        observations: uint8 [n, 64, 64, 3].
        levels: the levels that they were made from.
        rows: int64 [n], index in `levels` of each observation.
        batch_size: observations in a forward pass; None chooses by the policy's device.

    Returns:
        Probabilities of the moves, float32 [n, 5], and values, float32 [n], in units of reward.

    Raises:
        ValueError: if a probability is not finite, or the batch size is below 1.
    """
    if batch_size is None:
        device = getattr(policy, "device", None)
        batch_size = _CPU_BATCH if device is None or device.type == "cpu" else _ACCELERATOR_BATCH
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    moves = np.empty((len(observations), len(MOVES)), np.float32)
    value = np.empty(len(observations), np.float32)
    # cuDNN would round convolutions to TF32, and choose among algorithms by their speed of the moment.
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for first in range(0, len(observations), batch_size):
            part = slice(first, first + batch_size)
            output = policy(observations[part], levels=levels, rows=rows[part])
            moves[part] = move_probabilities(output.logits).cpu().numpy()
            value[part] = output.value.cpu().numpy()
    broken = ~np.isfinite(moves).all(axis=1)
    if broken.any():
        raise ValueError(
            f"the policy's probabilities are not finite in {broken.sum()} of {len(moves)} states, first in level "
            f"{rows[broken.argmax()]}; an edit may have driven its activations out of range"
        )
    return moves, value


def level_columns(levels: Levels, rows: NDArray[np.int64], first: int = 0) -> dict[str, Any]:
    """The columns that every data frame starts with and joins on: level, seed, maze_dim.

    Args:
        levels: the levels.
        rows: int64 [k], the level of each row of the frame.
        first: position of `levels[0]` in the batch that it is a part of.
    """
    return {"level": first + rows, "seed": levels.seed[rows], "maze_dim": levels.maze_dim[rows]}


def _free_squares(levels: Levels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`PolicyTable.start` and `PolicyTable.square` of some levels."""
    is_free = levels.grid == FREE
    _, y, x = np.nonzero(is_free)
    return np.concatenate([[0], np.cumsum(is_free.sum(axis=(1, 2)))]), np.stack([x, y], axis=1)


@njit(cache=True, nogil=True)
def _draw_states(
    grid: NDArray[np.uint8],
    background: int,
    squares: NDArray[np.int64],
    facings: NDArray[np.bool_],
    out: NDArray[np.uint8],
    sprites: Sprites,
) -> None:
    """Draws a level with its mouse on each square in each facing: the maze once, then copies of it.

    Args:
        grid: uint8 [world, world].
        background: 0 … 8.
        squares: int64 [k, 2].
        facings: bool [f].
        out: uint8 [k, f, 64, 64, 3], overwritten.
        sprites: those of the level's mode.
    """
    maze = np.empty((SIDE, SIDE, 3), np.uint8)
    draw_maze(maze, grid, background, sprites)
    for row in range(len(squares)):
        for facing in range(len(facings)):
            out[row, facing] = maze
            draw_mouse(out[row, facing], squares[row, 0], squares[row, 1], facings[facing], sprites)
