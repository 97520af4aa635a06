"""Single episodes with their course: what `play` and `sample_episodes` count, to look at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..maze.environment import MazeVectorEnv
from ..maze.generation import CHEESE, WALL
from ..maze.levels import Level, Levels
from ..maze.paths import MOVE_ACTION, MOVE_STEPS, MOVES
from ..maze.worlds import Square, square_of
from ..policy.network import Policy
from .outcomes import HORIZON, _check, _choose_all, _episode_keys, _Episodes, _normalised
from .table import FACINGS, PolicyTable, run_policy


class Episode(NamedTuple):
    """An episode's course.

    Attributes:
        level: the level, the mouse at its start.
        squares: where the mouse stood, its start first, then after each step.
        moves: index in `MOVES` of each step's move; what is blocked is a move too, and turns the mouse.
    """

    level: Level
    squares: tuple[Square, ...]
    moves: tuple[int, ...] = ()

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
    squares, moves = [level.mouse], []
    for step in range(horizon):
        chances = _normalised(run_policy(policy, observation, batch, np.zeros(1, np.int64))[0])
        move = chances.argmax(axis=1) if greedy else _choose_all(chances, key, step)
        moves.append(int(move[0]))
        observation, _, found, late, info = environment.step(MOVE_ACTION[move])
        over = bool(found[0] or late[0])
        squares.append(square_of((info["final_info"] if over else info)["mouse"][0]))
        if over:
            break
    return Episode(level, tuple(squares), tuple(moves))


def walk_table(table: PolicyTable, i: int = 0, *, seed: int = 0) -> Episode:
    """One episode by a policy table, without running the policy: the first that `sample_episodes` counts in level i.

    Args:
        table: a table with both facings. For the greedy policy's episode, give `table.greedy()`.
        i: which of its levels.
        seed: any integer; it chooses the moves, as in `sample_episodes`.

    Raises:
        IndexError: if there is no level i.
        ValueError: if the table has one facing only, or the mouse starts on a cheese.
    """
    level = table.levels[i]
    batch, grids = Levels.stack(level), {facing: table.grid(i, facing) for facing in FACINGS}
    _check(batch, HORIZON)
    key = _episode_keys(batch, _Episodes.empty(batch, 1), seed)
    (x, y), facing = level.mouse, level.reflected
    squares, moves = [level.mouse], []
    for step in range(HORIZON):
        move = int(_choose_all(_normalised(grids[facing][y, x][None]), key, step)[0])
        dx, dy = MOVE_STEPS[move].tolist()
        facing = {"left": False, "right": True}.get(MOVES[move], facing)
        if 0 <= x + dx < level.world and 0 <= y + dy < level.world and level.grid[y + dy, x + dx] != WALL:
            x, y = x + dx, y + dy
        squares.append((x, y))
        moves.append(move)
        if level.grid[y, x] == CHEESE:
            break
    return Episode(level, tuple(squares), tuple(moves))
