"""Mice to stand beside a network: the random walk and the shortest path, as policy tables.

They are tables, not policies, because a policy sees an observation, and an observation does not always show the
mouse: in `hard`, its sprite is all transparent on (11, 17) unreflected and on (13, 17) reflected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..maze.levels import Levels, LevelsLike
from ..maze.paths import ACTION_MOVE, MOVES, best_moves
from .table import LEVELS_AT_A_TIME, PolicyTable


def random_walk(levels: LevelsLike) -> Iterator[PolicyTable]:
    """Tables of the mouse that takes each of the 15 actions equally often, and so stays 7 times in 15.

    Args:
        levels: Levels, a Level or a sequence of Level.
    """
    chances = np.bincount(ACTION_MOVE, minlength=len(MOVES)) / len(ACTION_MOVE)
    for first, part in _parts(levels):
        moves = np.broadcast_to(chances, (*part.grid.shape, len(MOVES)))
        yield replace(PolicyTable.from_moves(part, moves), first=first)


def shortest_path_mouse(levels: LevelsLike) -> Iterator[PolicyTable]:
    """Tables of the mouse that goes straight to the cheese, by the first move in `MOVES` that shortens the way.

    Where no way leads to the cheese it stays.

    Args:
        levels: Levels, a Level or a sequence of Level, with one cheese each.

    Raises:
        ValueError: if a level has not exactly one cheese.
    """
    for first, part in _parts(levels):
        shortens = best_moves(part)[..., None] >> np.arange(4, dtype=np.uint8) & 1
        stays = shortens.sum(axis=-1, keepdims=True) == 0
        move = np.concatenate([shortens, stays], axis=-1).argmax(axis=-1)
        yield replace(PolicyTable.from_moves(part, move[..., None] == np.arange(len(MOVES))), first=first)


def _parts(levels: LevelsLike) -> Iterator[tuple[int, Levels]]:
    batch = Levels.stack(levels)
    for first in range(0, len(batch), LEVELS_AT_A_TIME):
        yield first, batch[first : first + LEVELS_AT_A_TIME]
