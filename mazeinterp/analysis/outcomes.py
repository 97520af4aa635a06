"""What becomes of an episode: exactly, by the Markov chain of a policy table, or by playing.

An episode starts with the mouse and the facing of its level and ends at the cheese, or after `horizon` steps (500,
as in procgen). "Corner first" means that the mouse stands on the corner before it reaches the cheese, within the
horizon; starting there counts. Where the cheese lies on the corner that is undefined, and missing in the results.
Where there are several cheeses any will do; where there is none, none is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray
from tqdm import tqdm

from ..maze.environment import TIMEOUT, MazeVectorEnv
from ..maze.generation import CHEESE, FREE
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import MOVE_ACTION, MOVE_STEPS, MOVES, corner
from ..policy.network import Policy
from .table import FACINGS, PolicyTable, level_columns, run_policy

HORIZON = TIMEOUT
"""Steps after which an episode ends in any case: 500."""

_LEFT, _RIGHT, _STAY = (MOVES.index(move) for move in ("left", "right", "stay"))
_ARRIVED, _BLOCKED = -1, -2
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def exact_outcomes(tables: PolicyTable | Iterable[PolicyTable], horizon: int = HORIZON) -> pd.DataFrame:
    """The outcome of an episode in each level, exactly: no sampling, so no noise.

    Args:
        tables: a table with both facings, or a stream of them (`mazeinterp.analysis.tables`).
        horizon: steps after which an episode ends, at least 1.

    Returns:
        One row a level: level, seed (−1: none), maze_dim (0: none), and in float64

        - p_cheese: probability of reaching the cheese within the horizon; 0 without a cheese.
        - p_corner_first: probability of standing on the corner before that, within the horizon; NaN where the
          cheese lies on the corner.
        - expected_steps: expected length of the episode; one that does not reach the cheese takes `horizon` steps.

    Raises:
        ValueError: if a table has one facing only, a mouse starts on a cheese, or the horizon is below 1.
    """

    def outcomes(table: PolicyTable) -> pd.DataFrame:
        results = {name: np.empty(len(table)) for name in ("p_cheese", "p_corner_first", "expected_steps")}
        chain = _chain(table)
        _exact(chain, table.start, horizon, *results.values())
        results["p_corner_first"][chain.corner == _ARRIVED] = np.nan
        return pd.DataFrame(level_columns(table.levels, np.arange(len(table)), table.first) | results)

    return _concatenate(tables, horizon, outcomes)


def sample_episodes(
    tables: PolicyTable | Iterable[PolicyTable], episodes: int = 1, *, seed: int = 0, horizon: int = HORIZON
) -> pd.DataFrame:
    """Plays episodes by a policy table: each step draws a move from the probabilities in the mouse's state.

    The random number of a step depends on the seed, the level itself, the number of the episode and that of the step,
    and on nothing else: a level's episodes are the same in whatever batch it comes, and policies that are compared
    on one level with one seed meet the same luck.

    Args:
        tables: as for `exact_outcomes`. For the greedy policy's episodes, give `table.greedy()`.
        episodes: episodes a level, at least 1.
        seed: any integer.
        horizon: steps after which an episode ends, at least 1.

    Returns:
        One row an episode, levels in order: level, seed (−1: none), maze_dim (0: none), episode, found (bool: whether
        it reached the cheese), corner_first (boolean, missing where the cheese lies on the corner), steps.

    Raises:
        ValueError: as `exact_outcomes`; if episodes is below 1.
    """

    def outcomes(table: PolicyTable) -> pd.DataFrame:
        record = _Episodes.empty(table.levels, episodes)
        keys = _episode_keys(table.levels, record, seed)
        _sample(_chain(table), keys, horizon, record)
        return _frame(table.levels, record, table.first)

    return _concatenate(tables, horizon, outcomes)


def play(
    policy: Policy,
    levels: LevelsLike,
    episodes: int = 1,
    *,
    seed: int = 0,
    horizon: int = HORIZON,
    greedy: bool = False,
    num_envs: int = 256,
) -> pd.DataFrame:
    """Plays episodes step by step in the environment: for policies without a table, or few episodes of many levels.

    An episode asks the policy about the states that it visits only: some 30 forward passes in a level that a good
    policy solves, where a table of the mean level takes 270. Answers are kept while a level is played, except those
    of a stochastic policy. The random numbers are those of `sample_episodes`, so both play the same episodes of a
    policy that has a table. (Up to rounding: a batch of another composition moves probabilities by 1e-6 or so,
    which turns a step in a million.)

    Args:
        policy: the policy, stochastic or not.
        levels: Levels, a Level or a sequence of Level.
        episodes: episodes a level, at least 1.
        seed: any integer; it chooses the moves. A stochastic policy has a randomness of its own besides.
        horizon: steps after which an episode ends, from 1 to the environment's own limit of 500.
        greedy: make the most likely move instead of drawing one; of equals the first in `MOVES`.
        num_envs: episodes side by side. They begin together, and the next ones when all of them are over, so that
            levels may be split at multiples of it without changing a bit.

    Returns:
        As `sample_episodes`.

    Raises:
        ValueError: if a mouse starts on a cheese, or a number is out of its range.
    """
    if num_envs < 1 or horizon > TIMEOUT:
        raise ValueError(f"num_envs is {num_envs} and horizon {horizon}; they must be ≥ 1 and ≤ {TIMEOUT}")
    batch = Levels.stack(levels)
    _check(batch, horizon)
    record = _Episodes.empty(batch, episodes)
    keys = _episode_keys(batch, record, seed)
    with tqdm(total=len(keys), desc="episodes", unit="episode", delay=1, leave=False) as bar:
        for first in range(0, len(keys), num_envs):
            wave = _Episodes._make(array[first : first + num_envs] for array in record)
            lowest, highest = wave.level[0], wave.level[-1]
            part = wave._replace(level=wave.level - lowest)
            _play_together(policy, batch[lowest : highest + 1], part, keys[first : first + num_envs], horizon, greedy)
            bar.update(len(wave.level))
    return _frame(batch, record)


class _Episodes(NamedTuple):
    """Episodes to play and what became of them, one a row.

    Attributes:
        level: int64 [k], index of the level.
        episode: int64 [k], number of the episode in its level.
        found: bool [k], whether the cheese was reached.
        at_corner: bool [k], whether the mouse stood on the corner before that.
        undefined: bool [k], whether the cheese lies on the corner, which leaves `at_corner` without a meaning.
        steps: int64 [k], length.
    """

    level: NDArray[np.int64]
    episode: NDArray[np.int64]
    found: NDArray[np.bool_]
    at_corner: NDArray[np.bool_]
    undefined: NDArray[np.bool_]
    steps: NDArray[np.int64]

    @staticmethod
    def empty(levels: Levels, episodes: int) -> _Episodes:
        if episodes < 1:
            raise ValueError(f"episodes is {episodes}; it must be at least 1")
        k = len(levels) * episodes
        level, episode = np.divmod(np.arange(k), episodes)
        found, at_corner, undefined = (np.zeros(k, np.bool_) for _ in range(3))
        return _Episodes(level, episode, found, at_corner, undefined, np.zeros(k, np.int64))


def _frame(levels: Levels, record: _Episodes, first: int = 0) -> pd.DataFrame:
    corner_first = pd.arrays.BooleanArray(record.at_corner, mask=record.undefined)
    columns = {"episode": record.episode, "found": record.found, "corner_first": corner_first, "steps": record.steps}
    return pd.DataFrame(level_columns(levels, record.level, first) | columns)


def _concatenate(
    tables: PolicyTable | Iterable[PolicyTable], horizon: int, outcomes: Callable[[PolicyTable], pd.DataFrame]
) -> pd.DataFrame:
    frames = []
    for table in (tables,) if isinstance(tables, PolicyTable) else tables:
        if table.facings != FACINGS:
            raise ValueError(f"outcomes need a table with the facings {FACINGS}; this one has {table.facings}")
        _check(table.levels, horizon)
        frames.append(outcomes(table))
    if not frames:
        raise ValueError("there are no tables, so there are no outcomes; give at least one level")
    return pd.concat(frames, ignore_index=True)


def _check(levels: Levels, horizon: int) -> None:
    if horizon < 1:
        raise ValueError(f"horizon is {horizon}; it must be at least 1 step")
    if len(levels) == 0:
        raise ValueError("there are no levels to play; give at least one")
    on_cheese = levels.grid[np.arange(len(levels)), levels.mouse[:, 1], levels.mouse[:, 0]] == CHEESE
    if on_cheese.any():
        raise ValueError(f"the mouse of level {on_cheese.argmax()} starts on a cheese, with nowhere to go; move either")


class _Chain(NamedTuple):
    """A policy table as a Markov chain of (row, facing).

    Attributes:
        successor: int64 [r, 5], the row that each move leads to, `_ARRIVED` at a cheese.
        moves: float64 [r, 2, 5], probabilities of the moves, which add up to 1.
        mouse: int64 [n], the row that each level's mouse starts on.
        facing: int64 [n], its facing.
        corner: int64 [n], the corner's row, `_ARRIVED` where the cheese lies on it.
    """

    successor: NDArray[np.int64]
    moves: NDArray[np.float64]
    mouse: NDArray[np.int64]
    facing: NDArray[np.int64]
    corner: NDArray[np.int64]


def _chain(table: PolicyTable) -> _Chain:
    levels = table.levels
    row = np.where(levels.grid == CHEESE, _ARRIVED, _BLOCKED)
    row[levels.grid == FREE] = np.arange(len(table.square))
    around = np.pad(row, ((0, 0), (1, 1), (1, 1)), constant_values=_BLOCKED)
    level = np.repeat(np.arange(len(levels)), np.diff(table.start))
    x, y = table.square.T
    target = np.stack([around[level, 1 + y + dy, 1 + x + dx] for dx, dy in MOVE_STEPS], axis=1)
    each, corners = np.arange(len(levels)), corner(levels)
    return _Chain(
        np.where(target == _BLOCKED, np.arange(len(target))[:, None], target),
        _normalised(table.moves),
        row[each, levels.mouse[:, 1], levels.mouse[:, 0]],
        levels.reflected.astype(np.int64),
        row[each, corners[:, 1], corners[:, 0]],
    )


def _normalised(moves: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities that add up to 1 in float64: in float32 they do within 1e-7, which 500 steps raise to 5e-5."""
    return moves / moves.sum(axis=-1, keepdims=True, dtype=np.float64)


@njit(cache=True, nogil=True, inline="always")
def _turn(facing: int, move: int) -> int:
    """The facing after a move: pushing left or right turns the mouse, blocked or not."""
    return 0 if move == _LEFT else 1 if move == _RIGHT else facing


@njit(cache=True, nogil=True)
def _exact(
    chain: _Chain,
    start: NDArray[np.int64],
    horizon: int,
    p_cheese: NDArray[np.float64],
    p_corner_first: NDArray[np.float64],
    expected_steps: NDArray[np.float64],
) -> None:
    """Carries the probability of each state forward, step by step; the last three arrays, [n], are overwritten."""
    for i in range(len(chain.mouse)):
        base, size = start[i], start[i + 1] - start[i]
        # [0]: of all episodes that still run, [1]: of those among them that have not seen the corner.
        mass, later = np.zeros((2, size, 2)), np.zeros((2, size, 2))
        mass[:, chain.mouse[i] - base, chain.facing[i]] = 1.0
        arrived, at_corner, steps = 0.0, 0.0, 0.0
        if chain.mouse[i] == chain.corner[i]:
            at_corner = 1.0
            mass[1] = 0.0
        for _ in range(horizon):
            steps += 1.0 - arrived
            later[:] = 0.0
            for row in range(size):
                for facing in range(2):
                    if mass[0, row, facing] == 0.0:
                        continue
                    for move in range(5):
                        chance = chain.moves[base + row, facing, move]
                        target = chain.successor[base + row, move]
                        if target == _ARRIVED:
                            arrived += chance * mass[0, row, facing]
                            continue
                        after = _turn(facing, move)
                        later[0, target - base, after] += chance * mass[0, row, facing]
                        if target == chain.corner[i]:
                            at_corner += chance * mass[1, row, facing]
                        else:
                            later[1, target - base, after] += chance * mass[1, row, facing]
            mass, later = later, mass
        p_cheese[i], p_corner_first[i], expected_steps[i] = arrived, at_corner, steps


@njit(cache=True, nogil=True)
def _sample(chain: _Chain, keys: NDArray[np.uint64], horizon: int, record: _Episodes) -> None:
    """Plays the episodes, whose keys are uint64 [k], and writes down what became of them."""
    for k in range(len(keys)):
        i = record.level[k]
        row, facing, steps = chain.mouse[i], chain.facing[i], 0
        at_corner = row == chain.corner[i]
        while row != _ARRIVED and steps < horizon:
            move = _choose(chain.moves[row, facing], _uniform(keys[k], steps))
            facing = _turn(facing, move)
            row = chain.successor[row, move]
            steps += 1
            at_corner |= row != _ARRIVED and row == chain.corner[i]
        record.found[k], record.at_corner[k], record.steps[k] = row == _ARRIVED, at_corner, steps
        record.undefined[k] = chain.corner[i] == _ARRIVED


def _play_together(
    policy: Policy, levels: Levels, record: _Episodes, keys: NDArray[np.uint64], horizon: int, greedy: bool
) -> None:
    """Plays n episodes side by side in the environment, and writes down what became of them."""
    rows, n, world = record.level, len(keys), levels.world
    stochastic = getattr(policy, "stochastic", False)
    corners = corner(levels)[rows]
    environments = MazeVectorEnv(n, levels=levels[rows])
    observations, info = environments.reset()
    mouse, facing = info["mouse"], levels.reflected[rows].astype(np.int64)
    answers = np.full((n if stochastic else len(levels) * world * world * 2, len(MOVES)), np.nan, np.float32)
    playing = np.ones(n, np.bool_)
    record.steps[:] = horizon
    record.at_corner[:] = (mouse == corners).all(axis=1)
    record.undefined[:] = levels.grid[rows, corners[:, 1], corners[:, 0]] == CHEESE
    for step in range(horizon):
        state = ((rows * world + mouse[:, 1]) * world + mouse[:, 0]) * 2 + facing
        if stochastic:  # no answer is kept or shared
            state = np.arange(n)
            answers[:] = np.nan
        unknown = np.flatnonzero(playing & np.isnan(answers[state, 0]))
        ask = unknown[np.unique(state[unknown], return_index=True)[1]]
        if ask.size:
            answers[state[ask]] = run_policy(policy, observations[ask], levels, rows[ask])[0]
        chances = _normalised(answers[state[playing]])
        move = np.full(n, _STAY)
        move[playing] = chances.argmax(axis=1) if greedy else _choose_all(chances, keys[playing], step)
        facing[move == _LEFT], facing[move == _RIGHT] = 0, 1
        observations, _, found, late, info = environments.step(MOVE_ACTION[move])
        mouse, over = info["mouse"], found | late
        if over.any():  # their `info` is already about the next episode
            mouse[over] = info["final_info"]["mouse"][over]
        found &= playing
        record.found[found], record.steps[found] = True, step + 1
        record.at_corner[playing & (mouse == corners).all(axis=1)] = True
        playing &= ~found
        if not playing.any():
            break
    environments.close()


# Random numbers: a counter-based generator, SplitMix64 (Steele, Lea and Flood 2014), one stream an episode


def _episode_keys(levels: Levels, record: _Episodes, seed: int) -> NDArray[np.uint64]:
    """A key for each episode: uint64 [k]. Levels of different seeds have different keys, even if they look alike."""
    fields = levels.grid, levels.mouse, levels.background, levels.reflected, levels.seed
    digests = [
        hashlib.blake2b(b"".join([f"{seed},".encode(), *(f[i].tobytes() for f in fields)]), digest_size=8).digest()
        for i in range(len(levels))
    ]
    keys = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)[record.level]
    _spread(keys, record.episode)
    return keys


@njit(cache=True, nogil=True)
def _mix(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _spread(keys: NDArray[np.uint64], episode: NDArray[np.int64]) -> None:
    for k in range(len(keys)):
        keys[k] = _mix(keys[k] + np.uint64(episode[k] + 1) * _GOLDEN)


@njit(cache=True, nogil=True)
def _uniform(key: np.uint64, step: int) -> float:
    """The random number of an episode's step, in [0, 1)."""
    return float(_mix(key + np.uint64(step + 1) * _GOLDEN) >> np.uint64(11)) / 2.0**53


@njit(cache=True, nogil=True)
def _choose(chances: NDArray[np.float64], uniform: float) -> int:
    """The move that a random number in [0, 1) falls on; one of probability 0 never."""
    last, total = 0, 0.0
    for move in range(len(chances)):
        if chances[move] > 0.0:
            last = move
            total += chances[move]
            if uniform < total:
                break
    return last


@njit(cache=True, nogil=True)
def _choose_all(chances: NDArray[np.float64], keys: NDArray[np.uint64], step: int) -> NDArray[np.int64]:
    """Chooses a move for each row of `chances`, [p, 5]: int64 [p]."""
    moves = np.empty(len(keys), np.int64)
    for k in range(len(keys)):
        moves[k] = _choose(chances[k], _uniform(keys[k], step))
    return moves
