"""The maze as a batched Gymnasium environment, with procgen's rules.

The batched environment holds a picture of every maze without its mouse; a step copies it and draws the mouse, which
is what makes it fast. `backend="procgen"` plays the real game instead (real_environment.py).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numba import njit
from numpy.typing import ArrayLike, NDArray

from .generation import CHEESE, FREE, TWISTER_WORDS, WALL, draw, generate_level, seed_twister
from .levels import Levels, LevelsLike
from .rendering import SIDE, Sprites, draw_maze, draw_mouse, picture, sprites
from .worlds import SEEDS, Mode, region_code, world_of

Backend = Literal["native", "procgen"]

ACTIONS = 15
REWARD = 10.0
TIMEOUT = 500
"""Steps after which an episode ends in any case."""

_ALL_LEVELS = SEEDS - 1  # num_levels = 0 draws from [0, 2³¹ − 1)


class State(NamedTuple):
    """Everything that n environments are, as arrays; `get_state` copies it and `set_state` puts it back.

    Attributes:
        grid: uint8 [n, world, world].
        mouse: int64 [n, 2], squares (x, y).
        cheese: int64 [n, 2], the first cheese's square, (−1, −1) without one.
        background: uint8 [n].
        reflected: bool [n].
        seed: int64 [n], level seeds, −1 in a grid of one's own.
        edited: bool [n].
        maze_dim: int64 [n], 0 in a grid of one's own.
        steps: int64 [n], steps since the episode's start.
        twister: uint32 [n, 625], the generators of the next level seeds.
        turn: int64 [n], number of episodes begun, which chooses the next of given `levels`.
    """

    grid: NDArray[np.uint8]
    mouse: NDArray[np.int64]
    cheese: NDArray[np.int64]
    background: NDArray[np.uint8]
    reflected: NDArray[np.bool_]
    seed: NDArray[np.int64]
    edited: NDArray[np.bool_]
    maze_dim: NDArray[np.int64]
    steps: NDArray[np.int64]
    twister: NDArray[np.uint32]
    turn: NDArray[np.int64]


def _empty_state(n: int, world: int) -> State:
    return State(
        grid=np.full((n, world, world), WALL, np.uint8),
        mouse=np.zeros((n, 2), np.int64),
        cheese=np.full((n, 2), -1),
        background=np.zeros(n, np.uint8),
        reflected=np.zeros(n, np.bool_),
        seed=np.full(n, -1),
        edited=np.zeros(n, np.bool_),
        maze_dim=np.zeros(n, np.int64),
        steps=np.zeros(n, np.int64),
        twister=np.zeros((n, TWISTER_WORDS), np.uint32),
        turn=np.zeros(n, np.int64),
    )


@njit(cache=True, nogil=True)
def _find_cheese(grid: NDArray[np.uint8], cheese: NDArray[np.int64]) -> None:
    cheese[:] = -1
    for y in range(grid.shape[0]):
        for x in range(grid.shape[1]):
            if grid[y, x] == CHEESE:
                cheese[0], cheese[1] = x, y
                return


@njit(cache=True, nogil=True)
def _generate(indices: NDArray[np.int64], state: State, first: int, count: int, region: int) -> None:
    """Begins the next generated level of the chosen environments."""
    twister = np.empty(TWISTER_WORDS, np.uint32)
    world = state.grid.shape[1]
    free = np.empty(world * world, np.int32)
    for i in indices:
        seed = first + np.int64(draw(state.twister[i])) % count
        background, maze_dim = generate_level(seed, region, state.grid[i], twister, free)
        state.background[i], state.maze_dim[i], state.seed[i] = background, maze_dim, seed
        state.mouse[i] = (world - maze_dim) // 2
        state.reflected[i] = False
        state.edited[i] = False
        state.steps[i] = 0
        state.turn[i] += 1


@njit(cache=True, nogil=True)
def _draw_mazes(indices: NDArray[np.int64], state: State, mazes: NDArray[np.uint8], sprites: Sprites) -> None:
    for i in indices:
        _find_cheese(state.grid[i], state.cheese[i])
        draw_maze(mazes[i], state.grid[i], state.background[i], sprites)


@njit(cache=True, nogil=True)
def _observe(
    indices: NDArray[np.int64],
    state: State,
    mazes: NDArray[np.uint8],
    out: NDArray[np.uint8],
    sprites: Sprites,
) -> None:
    for i in indices:
        target, source = out[i].reshape(-1), mazes[i].reshape(-1)
        for byte in range(target.size):  # flat, so that it compiles to a plain copy
            target[byte] = source[byte]
        draw_mouse(out[i], state.mouse[i, 0], state.mouse[i, 1], state.reflected[i], sprites)


@njit(cache=True, nogil=True)
def _step(
    indices: NDArray[np.int64],
    state: State,
    actions: NDArray[np.int64],
    found: NDArray[np.bool_],
    late: NDArray[np.bool_],
) -> None:
    """Moves the mice, and says who found the cheese and whose time is up."""
    world = state.grid.shape[1]
    for i in indices:
        dx = actions[i] // 3 - 1 if actions[i] < 9 else 0
        dy = actions[i] % 3 - 1 if actions[i] < 9 and dx == 0 else 0
        x, y = state.mouse[i, 0] + dx, state.mouse[i, 1] + dy
        if dx:
            state.reflected[i] = dx > 0
        if 0 <= x < world and 0 <= y < world and state.grid[i, y, x] != WALL:
            state.mouse[i, 0], state.mouse[i, 1] = x, y
        state.steps[i] += 1
        found[i] = state.grid[i, state.mouse[i, 1], state.mouse[i, 0]] == CHEESE
        late[i] = state.steps[i] >= TIMEOUT and not found[i]


class MazeVectorEnv(gymnasium.vector.VectorEnv):
    """Many mazes at once: procgen's maze, or `maze_aisc`'s, bit for bit.

    Observations are uint8 [n, 64, 64, 3], actions integers [n] in [0, 15) (0–2 left, 3 down, 5 up, 6–8 right, else
    stay). The cheese gives 10 and terminates the episode, also on its 500th step, which truncates it otherwise.
    Autoreset is SAME_STEP: the step that ends an episode returns the next level's first observation, with the last
    observation in `info["final_obs"]` and the last info in `info["final_info"]`; the cheese is gone from both once
    it is eaten, as in procgen.

    `info` has, for every environment, `level_seed` int64 [n] (−1 in a grid of one's own), `mouse` int64 [n, 2] and
    `cheese` int64 [n, 2] ((−1, −1) without one), and Gymnasium's masks beside them.

    Level seeds come in procgen's own order: environment i's generator is seeded with the i-th draw of one seeded with
    `rand_seed`; each level is `start_level + draw % num_levels`, or `draw % (2³¹ − 1)` for `num_levels = 0`.
    `reset(seed=s)` starts over with `rand_seed = s`; `reset(seed=[s0, s1, …])` gives environment i the sequence of a
    single environment with `rand_seed = s_i`; `reset()` goes on to the next levels.

    Args:
        num_envs: number of environments, n.
        mode: "hard" (25 × 25 world) or "easy" (15 × 15).
        num_levels: number of level seeds in use, 0 for all.
        start_level: the first of them; ignored when `num_levels` is 0, as in procgen.
        rand_seed: seed of the sequence of level seeds, in [0, 2³¹).
        cheese_region: None for procgen's placement of the cheese, n for `maze_aisc` with `rand_region = n`.
        levels: levels to play instead of generated ones: environment i begins with `levels[i]`, then goes on n levels
            ahead at each episode's end, round and round. Their mode counts.
        threads: threads that step and draw, each taking a share of the environments.
        render_mode: "rgb_array" makes `render()` return large pictures, None.

    Raises:
        ValueError: if an argument is out of its range.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # Gymnasium's own name and form
        "render_modes": ["rgb_array"],
        "render_fps": 15,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        mode: Mode = "hard",
        num_levels: int = 0,
        start_level: int = 0,
        rand_seed: int = 0,
        cheese_region: int | None = None,
        levels: LevelsLike | None = None,
        threads: int = 1,
        render_mode: str | None = None,
    ) -> None:
        if num_envs < 1 or threads < 1:
            raise ValueError(f"num_envs is {num_envs} and threads {threads}; both are at least 1")
        if min(num_levels, start_level) < 0 or start_level + num_levels >= SEEDS:
            raise ValueError(
                f"num_levels {num_levels} and start_level {start_level} are out of range: "
                "both are ≥ 0 and their sum is below 2**31"
            )
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"unknown render_mode {render_mode!r}; it is None or 'rgb_array'")
        self.num_envs, self.render_mode = num_envs, render_mode
        self._given = None if levels is None else Levels.stack(levels)
        if self._given is not None and len(self._given) == 0:
            raise ValueError("levels is empty; give at least one level to play")
        self.mode: Mode = mode if self._given is None else self._given.mode
        self._range = (start_level, num_levels) if num_levels else (0, _ALL_LEVELS)
        self._region = region_code(cheese_region)
        self._rand_seed = _check_rand_seed(rand_seed)
        self._threads = min(threads, num_envs)
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        self._all = np.arange(num_envs)
        self._state = _empty_state(num_envs, world_of(self.mode))
        self._mazes = np.empty((num_envs, SIDE, SIDE, 3), np.uint8)
        self._sprites = sprites(self.mode)
        self._begun = False
        self.single_observation_space = Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self.single_action_space = Discrete(ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    # Gymnasium's interface

    def reset(
        self, *, seed: int | list[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begins new episodes everywhere.

        Args:
            seed: rand_seed to start over with, or one for each environment; None goes on to the next levels.
            options: Gymnasium's; none are known.

        Returns:
            Observations uint8 [n, 64, 64, 3] and `info`.

        Raises:
            ValueError: if a seed is not an integer in [0, 2³¹), their number is wrong, or options are given.
        """
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; to choose levels, use levels= or set_levels")
        if seed is not None or not self._begun:
            self._seed_streams(self._rand_seed if seed is None else seed)
            self._begun = True
        self._begin_levels(self._all, forced=True)
        return self.observe(), self.info()

    def step(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Plays one step everywhere.

        Args:
            actions: integers [n] in [0, 15).

        Returns:
            Observations uint8 [n, 64, 64, 3], rewards float64 [n], terminated bool [n], truncated bool [n], `info`;
            all new arrays.

        Raises:
            ValueError: for actions of a wrong shape, type or range; nothing moves then.
            gymnasium.error.ResetNeeded: before the first reset.
        """
        self._check_begun("step")
        found, late = self._play(self._checked_actions(actions))
        done = np.flatnonzero(found | late)
        reward = np.where(found, REWARD, 0.0)
        if not done.size:
            return self.observe(), reward, found, late, self.info()
        for i in done[found[done]]:
            self._state.grid[i, self._state.mouse[i, 1], self._state.mouse[i, 0]] = FREE
        self._draw(done)
        last_observations, last_info = self._picture_of(done), self.info(done)
        self._begin_levels(done, forced=False)
        info = self.info()
        info["final_obs"] = np.full(self.num_envs, None, object)
        info["final_obs"][done] = list(last_observations)
        info["final_info"] = last_info
        info["_final_obs"] = info["_final_info"] = _mask(done, self.num_envs)
        return self.observe(), reward, found, late, info

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Large pictures uint8 [500, 500, 3], one an environment; None unless `render_mode` is "rgb_array"."""
        return tuple(picture(level) for level in self.levels) if self.render_mode else None

    def close_extras(self, **kwargs: Any) -> None:
        """Ends the threads."""
        if self._pool:
            self._pool.shutdown()

    # States

    @property
    def levels(self) -> Levels:
        """The present states as levels, the mice where they are; a copy."""
        arrays = {name: getattr(self._state, name).copy() for name in Levels.__dataclass_fields__}
        arrays["edited"] |= self._state.steps > 0  # the mouse may be elsewhere than the seed puts it
        return Levels(**arrays)

    def set_levels(self, levels: LevelsLike, indices: ArrayLike | None = None) -> None:
        """Puts environments into states of one's choice, at the start of an episode.

        Args:
            levels: one for each chosen environment, of the environments' mode.
            indices: int [k], the environments; by default all of them.

        Raises:
            ValueError: if the mode or the number of levels does not fit.
            IndexError: if there is no such environment.
        """
        batch, chosen = Levels.stack(levels), self._all if indices is None else np.asarray(indices)
        if batch.mode != self.mode or len(batch) != len(chosen):
            raise ValueError(
                f"{len(batch)} levels of mode {batch.mode!r} for {len(chosen)} environments of mode {self.mode!r}"
            )
        if not np.issubdtype(chosen.dtype, np.integer):
            raise IndexError(f"indices are {chosen.dtype}; they must be integers")
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < self.num_envs):
            raise IndexError(f"environments {chosen.min()} … {chosen.max()} of {self.num_envs}")
        self._write_levels(batch, chosen)
        self._draw(chosen)

    def get_state(self) -> Any:
        """A copy of everything that the environments are, for `set_state`."""
        return _copy(self._state)

    def set_state(self, state: Any) -> None:
        """Puts back a state from `get_state`, of this or a like environment.

        Raises:
            ValueError: if it is that of another number of environments, mode or backend.
        """
        if not isinstance(state, State) or state.grid.shape != (self.num_envs, *self._state.grid.shape[1:]):
            raise ValueError(f"not a state of {self.num_envs} native environments of mode {self.mode!r}")
        self._state = _copy(state)
        self._begun = True
        self._draw(self._all)

    def observe(self) -> NDArray[np.uint8]:
        """The present observations: uint8 [n, 64, 64, 3], a new array.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        self._check_begun("observe")
        return self._picture_of(self._all)

    def _check_begun(self, method: str) -> None:
        if not self._begun:
            raise gymnasium.error.ResetNeeded(f"call reset() before the first {method}()")

    # What a backend does in its own way

    def _seed_streams(self, seed: int | list[int]) -> None:
        if isinstance(seed, list) and len(seed) != self.num_envs:
            raise ValueError(f"{len(seed)} seeds for {self.num_envs} environments")
        rand_seeds = [_check_rand_seed(value) for value in (seed if isinstance(seed, list) else [seed])]
        master = np.empty(TWISTER_WORDS, np.uint32)
        self._state.turn[:] = 0
        for i, stream in enumerate(self._state.twister):
            if i < len(rand_seeds):  # a single seed's master serves all environments
                seed_twister(master, rand_seeds[i])
            seed_twister(stream, int(draw(master)))

    def _begin_levels(self, indices: NDArray[np.int64], forced: bool) -> None:
        """Begins the next levels of some environments: forced by `reset`, or because an episode ended."""
        if self._given is None:
            self._in_threads(_generate, indices, self._state, *self._range, self._region)
        else:
            self._write_levels(self._given[self._due(indices)], indices)
        self._draw(indices)

    def _play(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Moves the mice; says which found the cheese and whose time is up."""
        found, late = np.empty(self.num_envs, np.bool_), np.empty(self.num_envs, np.bool_)
        self._in_threads(_step, self._all, self._state, actions, found, late)
        return found, late

    def _write_levels(self, levels: Levels, indices: NDArray[np.int64]) -> None:
        for name in Levels.__dataclass_fields__:
            getattr(self._state, name)[indices] = getattr(levels, name)
        self._state.steps[indices] = 0

    # Helpers

    def _due(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """The given levels whose turn it is, which counts the turn."""
        assert self._given is not None
        due = (indices + self._state.turn[indices] * self.num_envs) % len(self._given)
        self._state.turn[indices] += 1
        return due

    def _draw(self, indices: NDArray[np.int64]) -> None:
        self._in_threads(_draw_mazes, indices, self._state, self._mazes, self._sprites)

    def _picture_of(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        whole = len(indices) == self.num_envs
        out = np.empty_like(self._mazes)
        self._in_threads(_observe, indices, self._state, self._mazes, out, self._sprites)
        return out if whole else out[indices]

    def info(self, indices: NDArray[np.int64] | None = None) -> dict[str, Any]:
        """The present `info`, new arrays; Gymnasium's masks mark the environments `indices`, by default all."""
        mask, state = _mask(self._all if indices is None else indices, self.num_envs), self._state
        info: dict[str, Any] = {
            "level_seed": state.seed.copy(),
            "mouse": state.mouse.copy(),
            "cheese": state.cheese.copy(),
        }
        return info | {f"_{name}": mask.copy() for name in info}

    def _in_threads(self, kernel: Callable[..., None], indices: NDArray[np.int64], *rest: Any) -> None:
        if self._pool is None:
            kernel(indices, *rest)
        else:
            list(self._pool.map(lambda share: kernel(share, *rest), np.array_split(indices, self._threads)))

    def _checked_actions(self, actions: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(actions)
        if array.shape != (self.num_envs,) or not np.issubdtype(array.dtype, np.integer):
            raise ValueError(
                f"actions are {array.dtype} of shape {array.shape}; they must be integers of shape ({self.num_envs},)"
            )
        wrong = array[(array < 0) | (array >= ACTIONS)]
        if wrong.size:
            raise ValueError(f"action {wrong[0]} is out of range; actions lie in [0, {ACTIONS})")
        return array.astype(np.int64)


def make_vector(backend: Backend = "native", **arguments: Any) -> MazeVectorEnv:
    """A batched environment on one of the two backends; what `gymnasium.make_vec` calls.

    Args:
        backend: "native", or "procgen" for the real game (`mazeinterp procgen install` fetches it).
        arguments: those of `MazeVectorEnv`.

    Raises:
        ValueError: for an unknown backend, or arguments that it cannot serve.
        FileNotFoundError: if the backend's library is not installed.
    """
    if backend == "native":
        return MazeVectorEnv(**arguments)
    if backend == "procgen":
        from .real_environment import RealMazeVectorEnv

        return RealMazeVectorEnv(**arguments)
    raise ValueError(f"unknown backend {backend!r}; it is 'native' or 'procgen'")


def _copy(state: State) -> State:
    return State(**{name: array.copy() for name, array in state._asdict().items()})


def _mask(indices: NDArray[np.int64], n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, np.bool_)
    mask[indices] = True
    return mask


def _check_rand_seed(seed: object) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < SEEDS:
        raise ValueError(f"rand_seed is {seed!r}; it must be an integer in [0, 2**31)")
    return int(seed)
