"""The environments' states, threads and backends, and what they refuse."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from support import assert_same, backends, random_levels, real, wander

from mazeinterp.maze import ENV_ID, MODES, Level, Levels, MazeEnv, MazeVectorEnv, observe, picture

LEFT, STAY, RIGHT = 1, 4, 7
RealVectorEnv = partial(gymnasium.make_vec, ENV_ID, backend="procgen")


def play(envs: MazeVectorEnv, steps: int, seed: int = 0, share: float = 0.4) -> list[Any]:
    """Everything that so many steps return: the first mouse waits for the end, the others go for the cheese."""
    rng, played = np.random.default_rng(seed), []
    for _ in range(steps):
        actions = wander(envs.levels, np.full(envs.num_envs, share), rng)
        actions[0] = STAY
        played.append(envs.step(actions))
    return played


def count(played: list[Any]) -> tuple[int, int]:
    """How many episodes ended, at the cheese and by time."""
    return sum(step[2].sum() for step in played), sum(step[3].sum() for step in played)


# States


@backends
def test_a_state_put_back_plays_on_alike(backend: str) -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=3, mode="easy", num_levels=40, backend=backend)
    twin = gymnasium.make_vec(ENV_ID, num_envs=3, mode="easy", num_levels=40, rand_seed=8, backend=backend)
    envs.reset(seed=1)
    for steps in (0, 1, 130, 270):
        play(envs, steps, seed=steps)
        state = envs.get_state()
        shown, first = envs.observe(), play(envs, 560, seed=9, share=0.6)
        assert all(count(first))
        after = envs.reset()
        for other in (envs, twin):  # a twin without a reset of its own will do
            other.set_state(state)
            assert_same(other.observe(), shown)
            assert_same(play(other, 560, seed=9, share=0.6), first)
            assert_same(other.reset(), after)
    envs.close()
    twin.close()


@backends
def test_the_state_of_a_single_environment(backend: str) -> None:
    env = MazeEnv(mode="easy", backend=backend)
    env.reset(seed=0)
    env.set_level(Level.from_seed(1, "easy").without_cheese())
    fresh = env.get_state()
    for _ in range(500):
        truncated = env.step(RIGHT)[3]
    assert truncated
    over, follow = env.get_state(), env.reset()
    env.set_state(over)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(STAY)
    assert_same(env.reset(), follow)
    env.set_state(fresh)
    assert env.level == Level.from_seed(1, "easy").without_cheese()
    env.step(STAY)
    env.close()


def test_levels_say_that_the_mouse_has_moved() -> None:
    envs = MazeVectorEnv(2, num_levels=10)
    envs.reset()
    assert list(envs.levels) == list(Levels.from_seeds(envs.levels.seed))
    envs.step([STAY, 5])
    assert envs.levels.edited.all()
    assert (envs.levels.seed >= 0).all()


@backends
@pytest.mark.parametrize("mode", MODES)
def test_set_levels_begins_an_episode_in_any_state(mode: str, backend: str) -> None:
    envs, rng = gymnasium.make_vec(ENV_ID, num_envs=6, mode=mode, backend=backend), np.random.default_rng(1)
    envs.reset(seed=0)
    for _ in range(20):
        before, chosen = envs.levels, rng.permutation(6)[: rng.integers(1, 7)]
        batch = random_levels(mode, len(chosen), rng)
        envs.set_levels(batch, chosen)
        np.testing.assert_array_equal(envs.observe()[chosen], observe(batch))
        others = np.setdiff1d(np.arange(6), chosen)
        assert list(envs.levels[chosen]) == list(batch)
        assert list(envs.levels[others]) == list(before[others])
        envs.step(rng.integers(15, size=6))
    envs.set_levels(list(Levels.from_seeds(range(6), mode)))
    assert list(envs.levels) == list(Levels.from_seeds(range(6), mode))
    envs.close()


# Threads


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_change_nothing(threads: int) -> None:
    one, several = MazeVectorEnv(7, "easy"), MazeVectorEnv(7, "easy", threads=threads)
    assert_same(one.reset(seed=2), several.reset(seed=2))
    played = play(one, 520)
    assert_same(played, play(several, 520))
    assert count(played)[0]
    given = Levels.from_seeds(range(7), "easy")
    for envs in (one, several):
        envs.set_levels(given)
    assert_same(one.observe(), several.observe())
    several.close()


# The two backends


@real
@pytest.mark.parametrize(
    "options",
    [
        {"mode": "hard", "num_levels": 0, "start_level": 5},
        {"mode": "easy", "num_levels": 25, "start_level": 60, "rand_seed": 2},
        {"levels": Levels.from_seeds(range(9), "easy").with_reflected(True)},
    ],
)
def test_the_backends_are_alike(options: dict[str, Any]) -> None:
    envs, game = MazeVectorEnv(4, **options), RealVectorEnv(num_envs=4, **options)
    assert (game.observation_space, game.action_space, game.metadata) == (
        envs.observation_space,
        envs.action_space,
        envs.metadata,
    )
    ends = np.zeros(2, int)
    for seed in (None, None, 7, 2**31 - 1):
        assert_same(envs.reset(seed=seed), game.reset(seed=seed))
        assert_same(game.observe(), envs.observe())
        played = play(envs, 300, share=0.5)
        assert_same(play(game, 300, share=0.5), played)
        ends += count(played)
        batch = random_levels(envs.mode, 2, np.random.default_rng(300)).without_cheese()
        for both in (envs, game):
            both.set_levels(batch, [2, 0])
        played = play(envs, 505, seed=1, share=0.9)
        assert_same(play(game, 505, seed=1, share=0.9), played)
        assert list(envs.levels) == list(game.levels)
        ends += count(played)
    assert ends[0] > 10
    assert ends[1] > 3
    game.close()


@real
def test_the_real_game_is_drawn_by_its_own_library() -> None:
    game = RealVectorEnv(num_envs=2)
    game.reset()
    np.testing.assert_array_equal(game.observe(), game.unwrapped._game.observe()[1])
    game.close()
    with pytest.raises(ValueError, match="closed"):
        game.step([STAY, STAY])


# Pictures and closing


@backends
def test_render_gives_large_pictures(backend: str) -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=2, mode="easy", render_mode="rgb_array", backend=backend)
    envs.reset(seed=0)
    envs.step([RIGHT, 5])
    for shown, level in zip(envs.render(), envs.levels, strict=True):
        np.testing.assert_array_equal(shown, picture(level))
    envs.close()
    env = gymnasium.make(ENV_ID, render_mode="rgb_array", backend=backend)
    env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), picture(env.unwrapped.level))
    env.close()
    assert MazeVectorEnv(2).render() is None
    assert MazeEnv().render() is None


@backends
def test_closing_twice_is_allowed(backend: str) -> None:
    for arguments in ({}, {"threads": 2}) if backend == "native" else ({},):
        envs = gymnasium.make_vec(ENV_ID, num_envs=2, backend=backend, **arguments)
        envs.reset()
        envs.close()
        envs.close()
        assert envs.closed
    env = MazeEnv(backend=backend)
    env.close()
    env.close()


# Bad input: refused, and the environment plays on as if it had not been

Use = Callable[[Any], object]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"threads": 0}, "threads (is )?0"),
        ({"mode": "extreme"}, "unknown mode 'extreme'; the modes are 'hard', 'easy'"),
        ({"num_levels": -1}, "num_levels -1"),
        ({"start_level": -5}, "start_level -5"),
        ({"start_level": 2**31 - 1, "num_levels": 1}, "start_level 2147483647"),
        ({"rand_seed": -1}, "rand_seed is -1"),
        ({"rand_seed": 2**31}, r"rand_seed is 2147483648; .* \[0, 2\*\*31\)"),
        ({"rand_seed": 0.5}, r"rand_seed is 0\.5"),
        ({"cheese_region": -1}, "cheese_region is -1"),
        ({"cheese_region": "top"}, "cheese_region is 'top'"),
        ({"levels": []}, "one mode"),
        ({"levels": Levels.from_seeds([])}, "levels is empty"),
        ({"levels": [Level.from_seed(0, "hard"), Level.from_seed(0, "easy")]}, "one mode"),
        ({"render_mode": "human"}, "unknown render_mode 'human'; it is None or 'rgb_array'"),
    ],
)
@backends
def test_wrong_arguments_are_refused(backend: str, arguments: dict[str, Any], message: str) -> None:
    from mazeinterp.maze.environment import make_vector

    with pytest.raises(ValueError, match=message):
        make_vector(backend, **arguments)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown backend 'jax'; it is 'native' or 'procgen'"):
        MazeEnv(backend="jax")


@real
@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"cheese_region": 5}, "cheese_region is 5; .* None"), ({"threads": 2}, "threads is 2; .* must be 1")],
)
def test_what_the_real_game_cannot_do_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RealVectorEnv(num_envs=2, **arguments)


@real
def test_an_absent_library_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAZEINTERP_CACHE", str(tmp_path))
    for make in (RealVectorEnv, partial(gymnasium.make, ENV_ID, backend="procgen")):
        with pytest.raises(FileNotFoundError, match="mazeinterp procgen install"):
            make()


WRONG_USES: list[tuple[Use, type[Exception], str]] = [
    (lambda x: x.step([0]), ValueError, r"int64 of shape \(1,\); .* shape \(3,\)"),
    (lambda x: x.step([[0, 0, 0]]), ValueError, r"shape \(1, 3\)"),
    (lambda x: x.step(4), ValueError, r"shape \(\)"),
    (lambda x: x.step([0.0, 1.0, 2.0]), ValueError, "float64"),
    (lambda x: x.step([True, False, True]), ValueError, "bool"),
    (lambda x: x.step([0, 15, 0]), ValueError, r"action 15 is out of range; actions lie in \[0, 15\)"),
    (lambda x: x.step([0, 1, -1]), ValueError, "action -1 is out of range"),
    (lambda x: x.step(["up"] * 3), ValueError, "<U2"),
    (lambda x: x.reset(seed=-1), ValueError, "rand_seed is -1"),
    (lambda x: x.reset(seed=2**31), ValueError, "rand_seed is 2147483648"),
    (lambda x: x.reset(seed=1.0), ValueError, r"rand_seed is 1\.0"),
    (lambda x: x.reset(seed=True), ValueError, "rand_seed is True"),
    (lambda x: x.reset(options={"level": 3}), ValueError, r"unknown reset options \['level'\]"),
    (lambda x: x.set_levels(Level.from_seed(0, "hard")), ValueError, "mode 'hard' .* mode 'easy'"),
    (lambda x: x.set_levels(Levels.from_seeds([1, 2], "easy")), ValueError, "2 levels .* 3 environments"),
    (lambda x: x.set_levels(Level.from_seed(0, "easy"), [3]), IndexError, "3 of 3"),
    (lambda x: x.set_levels(Level.from_seed(0, "easy"), [-1]), IndexError, "-1"),
    (lambda x: x.set_levels(Level.from_seed(0, "easy"), [0.0]), IndexError, "integer"),
    (lambda x: x.set_levels("text"), TypeError, "not str"),
    (lambda x: x.set_state(None), ValueError, "not a state of"),
    (lambda x: x.set_state((1, 2)), ValueError, "not a state of"),
]


@pytest.mark.parametrize("given", [False, True], ids=["generated", "given levels"])
@backends
def test_wrong_use_leaves_the_environment_as_it_was(backend: str, given: bool) -> None:
    levels = Levels.from_seeds(range(8), "easy") if given else None
    make = partial(gymnasium.make_vec, ENV_ID, num_envs=3, mode="easy", levels=levels, backend=backend)
    envs, twin = make(), make()
    for both in (envs, twin):
        with pytest.raises(gymnasium.error.ResetNeeded):
            both.step([STAY] * 3)
        with pytest.raises(gymnasium.error.ResetNeeded):
            both.observe()
        both.reset(seed=0)
        play(both, 20)
    for arguments in ({"num_envs": 2, "mode": "easy"}, {"num_envs": 3, "mode": "hard"}):
        other = gymnasium.make_vec(ENV_ID, backend=backend, **arguments)
        other.reset()
        with pytest.raises(ValueError, match="not a state of"):
            envs.set_state(other.get_state())
        other.close()
    uses = [
        *WRONG_USES,
        (lambda x: x.reset(seed=[1, 2]), ValueError, "2 seeds|single seed"),
        (lambda x: x.reset(seed=[1, 2, -3]), ValueError, "rand_seed is -3|single seed"),
    ]
    for i, (use, error, message) in enumerate(uses):
        with pytest.raises(error, match=message):
            use(envs)
        assert_same(play(envs, 3, seed=i), play(twin, 3, seed=i))
    assert_same(play(envs, 200), play(twin, 200))
    assert_same(envs.reset(), twin.reset())
    envs.close()
    twin.close()


def test_wrong_use_of_a_single_environment() -> None:
    env, twin = MazeEnv(), MazeEnv()
    for both in (env, twin):
        with pytest.raises(gymnasium.error.ResetNeeded):
            both.step(STAY)
        both.reset(seed=0)
    for use, error, message in [
        (lambda x: x.step(15), ValueError, "action 15"),
        (lambda x: x.step(-1), ValueError, "action -1"),
        (lambda x: x.step(0.0), ValueError, "float64"),
        (lambda x: x.step([0]), ValueError, r"\(1, 1\)"),
        (lambda x: x.step(None), ValueError, "object"),
        (lambda x: x.reset(seed=-1), ValueError, "rand_seed is -1"),
        (lambda x: x.reset(seed="a"), ValueError, "rand_seed is 'a'"),
        (lambda x: x.reset(options={"a": 1}), ValueError, r"options \['a'\]"),
        (lambda x: x.set_level(Level.from_seed(0, "easy")), ValueError, "mode 'easy'"),
    ]:
        with pytest.raises(error, match=message):
            use(env)
        assert_same(env.step(RIGHT), twin.step(RIGHT))
    assert_same(env.reset(), twin.reset())
