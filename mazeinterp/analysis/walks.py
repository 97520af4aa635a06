"""Single episodes with their course: what `play` and `sample_episodes` count, to look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..maze.environment import MazeVectorEnv
from ..maze.levels import Level, Levels
from ..maze.paths import MOVE_ACTION
from ..maze.worlds import Square, square_of
from ..policy.network import Policy
from .outcomes import HORIZON, _choose_all, _episode_keys, _Episodes, _normalised
from .table import run_policy


class Episode(NamedTuple):
    """An episode's course.

    Attributes:
        level: the level, the mouse at its start.
        squares: where the mouse stood, its start first, then after each step.
    """

    level: Level
    squares: tuple[Square, ...]

    @property
    def found(self) -> bool:
        """Whether it ended at a cheese."""
        return self.squares[-1] in self.level.cheeses


def walk(policy: Policy, level: Level, *, seed: int = 0, greedy: bool = False, horizon: int = HORIZON) -> Episode:
    """Plays one episode and keeps its course: the first of those that `play` and `sample_episodes` count.

    Args:
        policy: the policy, edited or not, stochastic or not.
        level: the level.
        seed: any integer; it chooses the moves, as in `play`.
        greedy: make the most likely move instead of drawing one; of equals the first in `MOVES`.
        horizon: steps after which the episode ends, from 1 to the environment's own limit of 500.

    Raises:
        ValueError: if the horizon is out of its range, or the mouse starts on a cheese.
    """
    if not 1 <= horizon <= HORIZON:
        raise ValueError(f"horizon is {horizon}; it must be from 1 to {HORIZON} steps")
    if level.mouse in level.cheeses:
        raise ValueError(f"the mouse starts on the cheese at {level.mouse}, with nowhere to go; move either")
    batch = Levels.stack(level)
    key = _episode_keys(batch, _Episodes.empty(batch, 1), seed)
    environment = MazeVectorEnv(1, levels=batch)
    observation, _ = environment.reset()
    squares = [level.mouse]
    for step in range(horizon):
        chances = _normalised(run_policy(policy, observation, batch, np.zeros(1, np.int64))[0])
        move = chances.argmax(axis=1) if greedy else _choose_all(chances, key, step)
        observation, _, found, late, info = environment.step(MOVE_ACTION[move])
        over = bool(found[0] or late[0])
        squares.append(square_of((info["final_info"] if over else info)["mouse"][0]))
        if over:
            break
    return Episode(level, tuple(squares))
