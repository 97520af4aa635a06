"""The maze as a single Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .environment import Backend, make_vector
from .levels import Level
from .rendering import picture

ENV_ID = "mazeinterp/Maze-v0"
"""The id for `gymnasium.make` and `gymnasium.make_vec`."""


class MazeEnv(gymnasium.Env[NDArray[np.uint8], np.int64]):
    """One maze: a `MazeVectorEnv` of one, without autoreset.

    `step` after an episode's end raises until `reset()`, which goes on to the next level of the sequence. `info` has
    `level_seed` (int), `mouse` and `cheese` (int64 [2], (−1, −1) without a cheese).

    Args:
        render_mode: "rgb_array" makes `render()` return a large picture, None nothing.
        backend: "native", or "procgen" for the real game.
        arguments: those of `MazeVectorEnv`, but for num_envs.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012  # Gymnasium's form

    def __init__(self, render_mode: str | None = None, backend: Backend = "native", **arguments: Any) -> None:
        self.batch = make_vector(num_envs=1, backend=backend, render_mode=render_mode, **arguments)
        self.render_mode = render_mode
        self.observation_space = self.batch.single_observation_space
        self.action_space = self.batch.single_action_space
        self._over = True  # no episode is under way
        self._next_is_ready = False  # the batch has gone on to the next level by itself

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begins a new episode: `seed` starts over with that rand_seed, None goes on to the next level.

        Returns:
            Observation uint8 [64, 64, 3] and `info`.

        Raises:
            ValueError: as `MazeVectorEnv.reset`.
        """
        if seed is not None or options or not self._next_is_ready:
            self.batch.reset(seed=seed, options=options)
        super().reset(seed=None if seed is None else int(seed))
        self._over = self._next_is_ready = False
        return self.batch.observe()[0], _only_row(self.batch.info())

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Plays one step.

        Args:
            action: an integer in [0, 15).

        Returns:
            Observation uint8 [64, 64, 3], reward, terminated, truncated, `info`.

        Raises:
            ValueError: for another action; nothing moves then.
            gymnasium.error.ResetNeeded: before `reset`, and after an episode's end.
        """
        if self._over:
            raise gymnasium.error.ResetNeeded("the episode is over, or none has begun: call reset()")
        observation, reward, terminated, truncated, info = self.batch.step(np.asarray(action)[None])
        self._over = self._next_is_ready = bool(terminated[0] or truncated[0])
        if self._over:
            return (
                info["final_obs"][0],
                float(reward[0]),
                bool(terminated[0]),
                bool(truncated[0]),
                _only_row(info["final_info"]),
            )
        return observation[0], float(reward[0]), False, False, _only_row(info)

    def render(self) -> NDArray[np.uint8] | None:
        """A large picture uint8 [500, 500, 3]; None unless `render_mode` is "rgb_array"."""
        return picture(self.level) if self.render_mode else None

    def close(self) -> None:
        """Frees what the backend holds."""
        self.batch.close()

    @property
    def level(self) -> Level:
        """The present state; after an episode's end, the next level's."""
        return self.batch.levels[0]

    def set_level(self, level: Level) -> None:
        """Goes on in a state of one's choice, at the start of an episode; raises as `MazeVectorEnv.set_levels`."""
        self.batch.set_levels(level)
        self._over = self._next_is_ready = False

    def get_state(self) -> Any:
        """A copy of everything that the environment is, for `set_state`."""
        return self.batch.get_state(), self._over, self._next_is_ready

    def set_state(self, state: Any) -> None:
        """Puts back a state from `get_state`; raises as `MazeVectorEnv.set_state`."""
        batch_state, over, next_is_ready = state
        self.batch.set_state(batch_state)
        self._over, self._next_is_ready = over, next_is_ready


def _only_row(info: dict[str, Any]) -> dict[str, Any]:
    """A batch of one's info as a single environment's: without masks, the seed as an int."""
    return {"level_seed": int(info["level_seed"][0]), "mouse": info["mouse"][0], "cheese": info["cheese"][0]}
