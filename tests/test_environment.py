"""The Gymnasium environments: their interface, procgen's rules, and which level comes next."""

import copy
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support import assert_same, backends, checksums, golden, real, wander

from mazeinterp.maze import ENV_ID, MODES, Level, Levels, MazeEnv, MazeVectorEnv, observe

IDS = sorted(name for name in gymnasium.registry if name.startswith("mazeinterp/"))
LEFT, STAY, RIGHT = 1, 4, 7


def masked(info: dict[str, Any]) -> dict[str, Any]:
    """What an info says: the values where its masks are set, and the masks."""
    rows = {name: values for name, values in info.items() if not name.startswith("_")}
    assert {f"_{name}" for name in rows} == {name for name in info if name.startswith("_")}
    said = {name: masked(v) if isinstance(v, dict) else v[info[f"_{name}"]] for name, v in rows.items()}
    return said | {name: values for name, values in info.items() if name.startswith("_")}


# Gymnasium's interface


def test_the_environment_is_registered() -> None:
    assert IDS == [ENV_ID] == ["mazeinterp/Maze-v0"]


@pytest.mark.parametrize("arguments", [{}, {"mode": "easy"}, {"cheese_region": 5}, {"render_mode": "rgb_array"}])
@pytest.mark.parametrize("name", IDS)
def test_check_env(name: str, arguments: dict[str, Any]) -> None:
    check_env(gymnasium.make(name, **arguments).unwrapped)


@real
@pytest.mark.parametrize("name", IDS)
def test_check_env_of_the_real_game(name: str) -> None:
    check_env(gymnasium.make(name, backend="procgen").unwrapped)


def test_check_env_with_given_levels() -> None:
    check_env(gymnasium.make(ENV_ID, levels=Level.from_seed(2, "easy")).unwrapped)


@backends
def test_make_gives_a_maze(backend: str) -> None:
    env = gymnasium.make(ENV_ID, mode="easy", num_levels=1, start_level=77, backend=backend)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (64, 64, 3), np.uint8)
    assert env.action_space == gymnasium.spaces.Discrete(15)
    observation, info = env.reset(seed=0)
    level = Level.from_seed(77, "easy")
    np.testing.assert_array_equal(observation, observe(level)[0])
    assert info["level_seed"] == 77
    assert (tuple(info["mouse"]), tuple(info["cheese"])) == (level.mouse, level.cheese)
    env.close()


@pytest.mark.parametrize("way", [None, "sync", "vector_entry_point"])
def test_make_vec_gives_mazes(way: str | None) -> None:
    same_step = {"vector_kwargs": {"autoreset_mode": AutoresetMode.SAME_STEP}} if way == "sync" else {}
    envs = gymnasium.make_vec(ENV_ID, num_envs=3, vectorization_mode=way, mode="easy", **same_step)
    assert isinstance(envs.unwrapped, SyncVectorEnv if way == "sync" else MazeVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.observation_space.shape == (3, 64, 64, 3)
    assert envs.action_space == gymnasium.spaces.MultiDiscrete([15] * 3)
    observation, _ = envs.reset(seed=[1, 2, 3])
    np.testing.assert_array_equal(observation, MazeVectorEnv(3, "easy").reset(seed=[1, 2, 3])[0])
    assert envs.observation_space.contains(observation)
    envs.close()


def test_arguments_can_be_copied_as_gymnasium_copies_them() -> None:
    """Gymnasium keeps a deep copy of `make`'s arguments in the spec."""
    levels = Levels.from_seeds([3, 4])
    env = gymnasium.make(ENV_ID, levels=levels)
    again = gymnasium.make(copy.deepcopy(env.spec))
    assert_same(env.reset(), again.reset())


@pytest.mark.parametrize(
    "options", [{"mode": "easy"}, {"num_levels": 30, "start_level": 900}, {"mode": "hard", "cheese_region": 4}]
)
def test_the_vector_is_single_environments_side_by_side(options: dict[str, Any]) -> None:
    """Gymnasium's own vector, resetting in the same step, over single environments is the reference."""
    n, rng = 5, np.random.default_rng(0)
    envs = MazeVectorEnv(n, **options)
    singles = SyncVectorEnv([partial(MazeEnv, **options)] * n, autoreset_mode=AutoresetMode.SAME_STEP)
    seeds = [3, 14, 15, 92, 2**31 - 1]
    for seed in (seeds, None, seeds[::-1]):
        one, other = envs.reset(seed=seed), singles.reset(seed=seed)
        assert_same((one[0], masked(one[1])), (other[0], masked(other[1])))
        ends = np.zeros(2, int)
        for _ in range(540):
            actions = wander(envs.levels, np.array([0.0, 0.1, 0.3, 0.5, 1.0]), rng)
            actions[0] = STAY  # until its time is up
            *one, info = envs.step(actions)
            *other, their_info = singles.step(actions)
            assert_same(one, other)
            assert_same(masked(info), masked(their_info))
            ends += one[2].sum(), one[3].sum()
        assert ends.all(), "some episodes must end at the cheese, some by time"


@backends
def test_one_environment_is_a_vector_of_one(backend: str) -> None:
    arguments = {"mode": "easy", "rand_seed": 9, "backend": backend}
    env, envs, rng = MazeEnv(**arguments), gymnasium.make_vec(ENV_ID, num_envs=1, **arguments), np.random.default_rng(0)
    assert_same(env.reset()[0], envs.reset()[0][0])
    for _ in range(1200):
        actions = wander(envs.levels, np.array([0.8]), rng)
        observation, reward, terminated, truncated, info = env.step(actions[0])
        batch = envs.step(actions)
        assert (reward, terminated, truncated) == tuple(part[0] for part in batch[1:4])
        assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
        if terminated or truncated:
            assert_same(observation, batch[4]["final_obs"][0])
            assert info["level_seed"] == batch[4]["final_info"]["level_seed"][0]
            with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
                env.step(STAY)
            observation, info = env.reset()
        assert_same(observation, batch[0][0])
        assert info == {"level_seed": batch[4]["level_seed"][0]} | {
            name: pytest.approx(batch[4][name][0]) for name in ("mouse", "cheese")
        }
    env.close()
    envs.close()


# procgen's rules, against streams of the real game


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stream", range(3))
def test_golden_streams(mode: str, stream: int) -> None:
    want = {name.removeprefix("stream_"): values[stream] for name, values in golden(mode).items() if "stream_" in name}
    options = {name: int(want[name]) for name in ("num_levels", "start_level", "rand_seed")}
    envs = MazeVectorEnv(4, mode, **options)
    observation, info = envs.reset()
    for t in range(len(want["action"]) + 1):
        np.testing.assert_array_equal(info["level_seed"], want["seed"][t])
        np.testing.assert_array_equal(checksums(observation), want["frame"][t])
        if t < len(want["action"]):
            observation, reward, terminated, truncated, info = envs.step(want["action"][t])
            np.testing.assert_array_equal(reward, 10.0 * want["reward"][t])
            np.testing.assert_array_equal(terminated, want["reward"][t])
            np.testing.assert_array_equal(terminated | truncated, want["first"][t])
    assert want["reward"].sum() > 20
    assert (want["first"] & ~want["reward"]).any()


@pytest.mark.parametrize("mode", MODES)
def test_golden_endings(mode: str) -> None:
    want = {name.removeprefix("ending_"): values for name, values in golden(mode).items() if "ending_" in name}
    envs = MazeVectorEnv(len(want["action"]), mode)
    envs.reset()
    envs.set_levels(Levels(want["grid"], want["mouse"]))
    envs.set_state(envs.get_state()._replace(steps=want["steps"]))
    _, reward, terminated, truncated, _ = envs.step(want["action"])
    np.testing.assert_array_equal(reward, want["reward"])
    np.testing.assert_array_equal(terminated | truncated, want["first"])
    np.testing.assert_array_equal(terminated, want["reward"] > 0)
    at_the_end = want["steps"] == 499
    assert (terminated & at_the_end).any()
    np.testing.assert_array_equal(truncated, at_the_end & ~terminated)


@backends
def test_an_episode_ends_at_step_500(backend: str) -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=2, mode="easy", backend=backend)
    envs.reset()
    envs.set_levels(Levels.from_seeds([1, 2], "easy").without_cheese())
    for step in range(1, 501):
        _, reward, terminated, truncated, info = envs.step([STAY, LEFT])
        assert not reward.any()
        assert not terminated.any()
        assert truncated.tolist() == [step == 500] * 2
    assert info["final_info"]["level_seed"].tolist() == [1, 2]
    assert not (info["cheese"] < 0).any()


@backends
def test_the_last_observation_and_info(backend: str) -> None:
    """They show the end of the episode that ended: the mouse where it went, the cheese gone if it was eaten."""
    envs = gymnasium.make_vec(ENV_ID, num_envs=4, mode="hard", backend=backend)
    envs.reset(seed=3)
    rng, ended = np.random.default_rng(0), 0
    for _ in range(800):
        before, actions = envs.levels, wander(envs.levels, np.array([0.1, 0.2, 0.4, 1.0]), rng)
        observation, _, terminated, truncated, info = envs.step(actions)
        done = terminated | truncated
        np.testing.assert_array_equal(observation, observe(envs.levels))
        if not done.any():
            assert set(info) == {"level_seed", "mouse", "cheese", "_level_seed", "_mouse", "_cheese"}
            continue
        ended += done.sum()
        np.testing.assert_array_equal(info["_final_obs"], done)
        np.testing.assert_array_equal(info["_final_info"], done)
        for i in range(4):
            final = info["final_obs"][i]
            if not done[i]:
                assert final is None
                continue
            last = before[i].with_mouse(info["final_info"]["mouse"][i])
            if actions[i] < 3 or 6 <= actions[i] <= 8:
                last = last.with_reflected(actions[i] > 3)
            last = last.without_cheese() if terminated[i] else last
            np.testing.assert_array_equal(final, observe(last)[0])
            assert final.dtype == np.uint8
            assert abs(np.subtract(last.mouse, before[i].mouse)).sum() <= 1
            assert info["final_info"]["level_seed"][i] == before[i].seed
            assert tuple(info["final_info"]["cheese"][i]) == (last.cheese or (-1, -1))
            if terminated[i]:
                assert last.mouse == before[i].cheese
            np.testing.assert_array_equal(observation[i], observe(Level.from_seed(int(info["level_seed"][i])))[0])
    assert ended > 20
    envs.close()


def test_what_a_step_returns_is_new() -> None:
    envs, untouched = MazeVectorEnv(3, "easy"), MazeVectorEnv(3, "easy")
    kept = [*envs.reset(seed=0)]
    untouched.reset(seed=0)
    for _ in range(60):
        actions = wander(envs.levels, np.zeros(3), np.random.default_rng(0))
        returned, want = envs.step(actions), untouched.step(actions)
        assert_same(returned, want)
        for values in (*returned[:4], *returned[4].values(), *returned[4].get("final_info", {}).values(), kept[0]):
            if isinstance(values, np.ndarray):
                values[...] = None if values.dtype == object else 1
        envs.levels.grid[:] = 0
        envs.get_state().grid[:] = 0


# Which level comes next


def test_reset_seeds_the_sequence_of_levels() -> None:
    first = MazeVectorEnv(4, rand_seed=5).reset()
    envs = MazeVectorEnv(4)
    assert_same(envs.reset(seed=5), first)
    second = envs.reset()
    assert (second[1]["level_seed"] != first[1]["level_seed"]).all()
    assert_same(envs.reset(seed=np.int64(5)), first)
    assert_same(envs.reset(), second)
    assert_same(MazeVectorEnv(1).reset(seed=[5]), MazeVectorEnv(1, rand_seed=5).reset())
    several = MazeVectorEnv(3).reset(seed=[5, 6, 5])
    assert several[1]["level_seed"][0] == several[1]["level_seed"][2] == first[1]["level_seed"][0]
    assert_same(envs.reset(seed=5, options={}), first)
    assert_same(envs.reset(seed=5, options=None), first)


@pytest.mark.parametrize("region", [None, 0, 1, 15])
@pytest.mark.parametrize("mode", MODES)
def test_levels_are_those_of_their_seeds(mode: str, region: int | None) -> None:
    envs = MazeVectorEnv(40, mode, num_levels=500, start_level=70, cheese_region=region)
    for _ in range(3):
        observation, info = envs.reset()
        assert ((info["level_seed"] >= 70) & (info["level_seed"] < 570)).all()
        want = Levels.from_seeds(info["level_seed"], mode, region)
        assert list(envs.levels) == list(want)
        np.testing.assert_array_equal(observation, observe(want))
        np.testing.assert_array_equal(info["mouse"], want.mouse)
        np.testing.assert_array_equal(info["cheese"], want.cheese)


@backends
def test_given_levels_are_played_in_turn(backend: str) -> None:
    """Environment i plays i, i + n, i + 2n, …, round and round; all of them begin anew with a seed."""
    rng, given = np.random.default_rng(0), Levels.from_seeds(range(7), "easy").with_reflected(True)
    envs = gymnasium.make_vec(ENV_ID, num_envs=3, levels=given, backend=backend)
    for seed in (None, 4):
        observation, info = envs.reset(seed=seed)
        turns = np.arange(3)
        for step in range(400):
            np.testing.assert_array_equal(info["level_seed"], turns % 7)
            if step == 200:
                observation, info = envs.reset()
                turns += 3
                np.testing.assert_array_equal(observation, observe(given[turns % 7]))
            begun = (
                turns[envs.get_state()[-1].steps == 0] if backend == "procgen" else turns[envs.get_state().steps == 0]
            )
            for i in np.flatnonzero(np.isin(turns, begun)):
                np.testing.assert_array_equal(observation[i], observe(given[int(turns[i]) % 7])[0])
            observation, _, terminated, truncated, info = envs.step(wander(envs.levels, np.full(3, 0.2), rng))
            turns += 3 * (terminated | truncated)
        assert turns.min() > 14
    envs.close()


def test_given_levels_choose_the_mode() -> None:
    assert MazeVectorEnv(2, levels=Level.from_seed(0, "easy")).mode == "easy"
    assert MazeVectorEnv(2, levels=[Level.from_seed(0)]).mode == "hard"
