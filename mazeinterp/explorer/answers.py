"""A policy's answers in one level as they become known, square by square."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import torch
from numpy.typing import NDArray

from ..analysis.table import FACINGS, PolicyTable, run_policy
from ..maze.generation import FREE
from ..maze.levels import Level, Levels
from ..maze.paths import MOVES, distances
from ..maze.rendering import observe
from ..maze.worlds import Square
from ..policy.network import Policy


@functools.cache
def threads() -> ThreadPoolExecutor:
    """A thread for each core that PyTorch would use, each to run passes of its own on one.

    Passes as small as a page's wait for one another inside PyTorch's own threads, longer still when the browser wants
    a core at the same time.
    """
    count = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, "mazeinterp explorer pass", initializer=torch.set_num_threads, initargs=(1,))
    all_there = Barrier(count)
    list(pool.map(lambda _: all_there.wait(), range(count)))
    torch.set_num_threads(count)  # what a thread sets for itself is also what threads of others would begin with
    return pool


class Answers:
    """A policy's answers in one level, as far as they have been asked for.

    Attributes:
        policy: the policy, edited or not.
        level: the level.
        moves: float32 [2, world, world, 5], indexed [facing, y, x, move]: probabilities; NaN where not asked.
        value: float32 [2, world, world], in units of reward; NaN where not asked.
    """

    def __init__(self, policy: Policy, level: Level) -> None:
        self.policy = policy
        self.level = level
        self.moves = np.full((2, level.world, level.world, len(MOVES)), np.nan, np.float32)
        self.value = np.full((2, level.world, level.world), np.nan, np.float32)
        self._batch = Levels.stack(level)

    def ask(self, squares: NDArray[np.int64], reflected: bool, batch_size: int) -> None:
        """Asks for what is not known yet of some free squares.

        Args:
            squares: int64 [k, 2].
            reflected: the mouse's facing.
            batch_size: most observations in a forward pass; fewer go to each core where there are not enough.

        Raises:
            ValueError: as `run_policy`.
        """
        new = squares[np.isnan(self.moves[int(reflected), squares[:, 1], squares[:, 0], 0])]
        if not len(new):
            return
        size = max(1, min(batch_size, -(-len(new) // torch.get_num_threads())))
        parts = [new[first : first + size] for first in range(0, len(new), size)]
        for part, (moves, value) in zip(
            parts, threads().map(lambda part: self._run(part, reflected), parts), strict=True
        ):
            self.moves[int(reflected), part[:, 1], part[:, 0]] = moves
            self.value[int(reflected), part[:, 1], part[:, 0]] = value

    def _run(self, squares: NDArray[np.int64], reflected: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The policy's moves and values, as `run_policy`, with the mouse on each of some squares."""
        rows = np.zeros(len(squares), np.int64)
        states = self._batch[rows].with_mouse(squares).with_reflected(reflected)
        return run_policy(self.policy, observe(states), self._batch, rows, batch_size=len(squares))

    def knows(self, reflected: bool) -> bool:
        """Whether every free square has been asked for in a facing."""
        return not np.isnan(self.moves[int(reflected), ..., 0][self.level.grid == FREE]).any()

    def table(self, level: Level) -> PolicyTable:
        """The policy table, NaN where a square has not been asked for.

        Args:
            level: the level, with the mouse where its episodes start.
        """
        y, x = np.nonzero(self.level.grid == FREE)
        moves, value = (array[:, y, x].swapaxes(0, 1).copy() for array in (self.moves, self.value))
        start = np.array([0, len(x)])
        return PolicyTable(Levels.stack(level), FACINGS, start, np.stack([x, y], axis=1), moves, value)


def nearest_first(level: Level, start: Square) -> NDArray[np.int64]:
    """The free squares by their distance in steps from a square; those out of reach last, by Euclidean distance.

    Returns:
        int64 [k, 2], squares (x, y); the cheese's is not among them.
    """
    y, x = np.nonzero(level.grid == FREE)
    steps = distances(level, start)[0, y, x].astype(np.int64)
    far = (x - start[0]) ** 2 + (y - start[1]) ** 2
    order = np.lexsort([far, np.where(steps < 0, level.world**2, steps)])
    return np.stack([x, y], axis=1)[order]
