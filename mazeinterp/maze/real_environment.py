"""The real procgen behind the same Gymnasium interface as the native maze.

The library draws the levels, moves the mice and draws the observations. What it does not tell (the mouse's and the
cheese's place, an episode's last observation, which it overwrites) is kept by the native rules, from the level that
its state bytes describe; should the two ever disagree on a reward or an episode's end, `step` raises.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .environment import MazeVectorEnv, State
from .levels import Levels
from .procgen import MazeState, ProcgenMazes


class RealState(NamedTuple):
    """What `RealMazeVectorEnv.get_state` gives: procgen's state bytes, and what is kept beside them."""

    procgen: tuple[bytes, ...]
    beside: State


class RealMazeVectorEnv(MazeVectorEnv):
    """Many real procgen mazes at once: `MazeVectorEnv` with the C library for its core, on one thread.

    It has procgen's own placement of the cheese only, and one rand_seed for all.

    Args:
        arguments: those of `MazeVectorEnv`.

    Raises:
        ValueError: as `MazeVectorEnv`; also for a cheese_region or several threads.
        FileNotFoundError: if the library is not installed.
        OSError: elsewhere than on Linux x86-64.
    """

    def __init__(self, **arguments: Any) -> None:
        region, threads = arguments.get("cheese_region"), arguments.get("threads", 1)
        if region is not None:
            raise ValueError(f"cheese_region is {region!r}; the real procgen knows its own placement only: None")
        if threads != 1:
            raise ValueError(f"threads is {threads}; the real procgen runs on one: it must be 1")
        super().__init__(**arguments)
        self._options = {name: arguments.get(name, 0) for name in ("num_levels", "start_level")}
        self._game: ProcgenMazes = self._start(self._rand_seed)
        self._fresh = True  # the library begins with a level, which the first reset takes

    def _start(self, rand_seed: int) -> ProcgenMazes:
        return ProcgenMazes(self.num_envs, mode=self.mode, rand_seed=rand_seed, **self._options)

    def _seed_streams(self, seed: int | list[int]) -> None:
        if isinstance(seed, list):
            raise ValueError("the real procgen has one rand_seed for all environments: give a single seed")
        super()._seed_streams(seed)  # checks it
        self._game.close()
        self._game, self._fresh = self._start(seed), True

    def _begin_levels(self, indices: NDArray[np.int64], forced: bool) -> None:
        if forced and not self._fresh:
            self._game.act(np.full(self.num_envs, -1))
            self._game.observe()
        self._fresh = False
        if self._given is not None:
            self._write_levels(self._given[self._due(indices)], indices)
        else:
            levels = Levels.stack([MazeState.parse(self._game.get_state(i)).to_level() for i in indices.tolist()])
            super()._write_levels(levels, indices)
        self._draw(indices)

    def _write_levels(self, levels: Levels, indices: NDArray[np.int64]) -> None:
        for i, level in zip(indices.tolist(), levels, strict=True):
            self._game.set_state(i, MazeState.parse(self._game.get_state(i)).with_level(level))
        super()._write_levels(levels, indices)

    def _play(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        self._game.act(actions)
        reward, _, first = self._game.observe()
        found, late = super()._play(actions)
        if not (np.array_equal(reward > 0, found) and np.array_equal(first, found | late)):
            wrong = np.flatnonzero((reward > 0) != found | (first != found | late)).tolist()
            raise RuntimeError(
                f"the real procgen and the native rules disagree in environments {wrong}; please report it"
            )
        return found, late

    def observe(self) -> NDArray[np.uint8]:
        """The present observations, drawn by the real library: uint8 [n, 64, 64, 3], a new array.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        self._check_begun("observe")
        return self._game.observe()[1]

    def get_state(self) -> RealState:
        """A copy of everything that the environments are, for `set_state`."""
        return RealState(tuple(self._game.get_state(i) for i in range(self.num_envs)), super().get_state())

    def set_state(self, state: Any) -> None:
        """Puts back a state from `get_state`, of this or a like environment.

        Raises:
            ValueError: if it is that of another number of environments, mode or backend.
        """
        if not isinstance(state, RealState):
            raise ValueError("not a state of environments with the real procgen; get_state() of one gives it")
        super().set_state(state.beside)
        for i, content in enumerate(state.procgen):
            self._game.set_state(i, content)
        self._fresh = False

    def close_extras(self, **kwargs: Any) -> None:
        """Frees the library's environments."""
        super().close_extras(**kwargs)
        self._game.close()
