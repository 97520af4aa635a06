"""The native maze against the real library, live: levels, observations of any state, and play."""

import runpy
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import golden, random_levels, real, wander

from mazeinterp.maze import MODES, Levels, MazeState, MazeVectorEnv, ProcgenMazes, observe

pytestmark = real
NEXT_LEVEL, STAY = -1, 4
ALL_MODES = pytest.mark.parametrize("mode", MODES)


def assert_no_difference(seen: NDArray[np.uint8], drawn: NDArray[np.uint8], what: str) -> None:
    """No pixel of uint8 [n, 64, 64, 3] differs; the error names the first picture and pixels."""
    if not np.array_equal(seen, drawn):
        rows = np.flatnonzero((seen != drawn).any(axis=(1, 2, 3)))
        pixels = np.argwhere((seen[rows[0]] != drawn[rows[0]]).any(axis=-1)).tolist()
        pytest.fail(
            f"{what}: {len(rows)} of {len(seen)} pictures differ, the first is {rows[0]}, in pixels {pixels[:9]}"
        )


def photograph(levels: Levels) -> NDArray[np.uint8]:
    """What the real library shows of these states: uint8 [n, 64, 64, 3]."""
    n, seen = 64, []
    with ProcgenMazes(n, levels.mode) as mazes:
        state = MazeState.parse(mazes.get_state(0))
        for start in range(0, len(levels), n):
            batch = levels[start : start + n]
            for i, level in enumerate(batch):
                mazes.set_state(i, state.with_level(level))
            seen.append(mazes.observe()[1][: len(batch)])
    return np.concatenate(seen)


# Levels and first observations

FIRST_SEEDS = 1100
LAST_SEED = 2**31 - 2  # procgen draws seeds below 2³¹ − 1


@ALL_MODES
def test_levels_and_first_observations_of_many_seeds(mode: str) -> None:
    seeds = [*range(FIRST_SEEDS), *(2**power - 1 for power in range(11, 31)), LAST_SEED]
    levels = Levels.from_seeds(seeds, mode)
    drawn = observe(levels)
    with ProcgenMazes(1, mode) as mazes:
        state = MazeState.parse(mazes.get_state(0))
        for i, seed in enumerate(seeds):
            mazes.set_state(0, state.replace(level_seed_low=seed, level_seed_high=seed + 1))
            mazes.act([NEXT_LEVEL])
            begun = MazeState.parse(mazes.get_state(0))
            assert begun["level_seed"] == seed
            assert begun.to_level() == levels[i]
            assert_no_difference(mazes.observe()[1], drawn[i : i + 1], f"seed {seed}")
    assert set(levels.maze_dim.tolist()) == set(range(3, MODES[mode] + 1, 2))
    assert set(levels.background.tolist()) == set(range(9))


# Edited states: every cell × content × walls around it, and every place of the mouse, on every background

WALL_EXCESS = 0.02  # cells by which procgen draws a wall too large on each side


def reaching(world: int) -> NDArray[np.int64]:
    """For each x (and y alike) the neighbouring one whose wall reaches a pixel of it, else −1."""
    centre = (np.arange(64) + 0.5) * world / 64
    owner, out = np.floor(centre).astype(int), np.full(world, -1)
    out[owner[centre - owner < WALL_EXCESS]] = owner[centre - owner < WALL_EXCESS] - 1
    out[owner[owner + 1 - centre < WALL_EXCESS]] = owner[owner + 1 - centre < WALL_EXCESS] + 1
    return np.where(out < world, out, -1)


def reaching_walls(grid: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each cell, which of the three neighbours that may reach it are walls, as bits: [n, world, world]."""
    world = grid.shape[1]
    walls, near = np.pad(grid == 1, ((0, 0), (0, 1), (0, 1))), reaching(world)  # at −1 is the padding, no wall
    own = np.arange(world)
    across, along, both = walls[:, own[:, None], near], walls[:, near[:, None], own], walls[:, near[:, None], near]
    return across + 2 * along + 4 * both


def surrounding_walls(grid: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each cell, which of its eight neighbours are walls, as bits: [n, world, world]."""
    world, walls = grid.shape[1], np.pad(grid == 1, ((0, 0), (1, 1), (1, 1))).astype(np.int64)
    around = [(dy, dx) for dy, dx in product(range(3), repeat=2) if (dy, dx) != (1, 1)]
    return sum(walls[:, dy : dy + world, dx : dx + world] << bit for bit, (dy, dx) in enumerate(around))


def design_grids(world: int) -> NDArray[np.uint8]:
    """Grids in which every cell meets every content beside every pattern of walls in its eight neighbours.

    Cells are of nine classes, so that a cell and its neighbours are of nine different ones: all choices of walls
    among the classes, without cheese and with it in one class.

    Returns:
        uint8 [2818, world, world].
    """
    walls = np.array(list(product((0, 1), repeat=9)), np.uint8)
    choices = [walls]
    for cheese in range(9):
        choices.append(walls[walls[:, cheese] == 0])
        choices[-1][:, cheese] = 2
    classes = np.arange(world) % 3 + 3 * (np.arange(world)[:, None] % 3)
    # A world of nothing but walls has no room for a mouse: in its place two with one opening, far apart.
    solid = np.ones((2, world, world), np.uint8)
    solid[0, 0, 0] = solid[1, -1, -1] = 0
    return np.concatenate([solid, np.concatenate(choices)[:, classes]])


def design(mode: str) -> Levels:
    """A state for each square of the mouse, content under it, walls reaching it, background and facing."""
    grids = design_grids(MODES[mode])
    walls, used = reaching_walls(grids), np.zeros(len(grids), np.int64)
    rows = []
    for y, x in np.ndindex(grids.shape[1:]):
        for content, pattern in product((0, 2), np.unique(walls[:, y, x])):
            fitting = np.flatnonzero((grids[:, y, x] == content) & (walls[:, y, x] == pattern))
            for background, reflected in product(range(9), (0, 1)):
                grid = fitting[used[fitting].argmin()]
                used[grid] += 1
                rows.append((grid, x, y, background, reflected))
    grid, x, y, background, reflected = np.array(rows).T
    return Levels(grids[grid], np.stack([x, y], axis=1), background, reflected > 0)


def assert_covers(levels: Levels) -> None:
    """Counts what the states show, whatever they were made for."""
    world = levels.world
    cells, under_mouse = np.arange(world**2), 3
    # What has been seen: cell × content × walls reaching it × background; cell × content × walls around it;
    # the mouse's cell × content × walls reaching it × background × facing.
    by_reaching = np.zeros((world**2, 4, 8, 9), bool)
    by_surrounding = np.zeros((world**2, 4, 256), bool)
    by_mouse = np.zeros((world**2, 3, 8, 9, 2), bool)
    for start in range(0, len(levels), 2048):
        part = levels[start : start + 2048]
        rows, mouse = np.arange(len(part)), part.mouse[:, 1] * world + part.mouse[:, 0]
        content = part.grid.reshape(len(part), -1).astype(np.int64)
        reach, around = (f(part.grid).reshape(content.shape) for f in (reaching_walls, surrounding_walls))
        by_mouse[mouse, content[rows, mouse], reach[rows, mouse], part.background, part.reflected.astype(int)] = True
        content[rows, mouse] = under_mouse
        by_reaching[cells, content, reach, part.background[:, None]] = True
        by_surrounding[cells, content, around] = True
    reached = (reaching(world) >= 0).astype(np.int64)  # across, and along
    block = 3 - np.isin(np.arange(world), (0, world - 1))  # cells side by side with one, itself included
    reach_patterns = (2 ** (reached + reached[:, None] + reached * reached[:, None])).sum()
    assert by_reaching[:, :3].sum() == 3 * 9 * reach_patterns
    assert by_surrounding[:, :3].sum() == 3 * (2 ** (block * block[:, None] - 1)).sum()
    assert by_mouse[:, [0, 2]].sum() == 2 * 9 * 2 * reach_patterns


@ALL_MODES
def test_edited_states_by_a_covering_design(mode: str) -> None:
    levels = design(mode)
    assert_covers(levels)
    for start in range(0, len(levels), 2048):
        part = levels[start : start + 2048]
        assert_no_difference(photograph(part), observe(part), f"states from {start}")


@ALL_MODES
def test_edited_states_at_random(mode: str) -> None:
    levels = random_levels(mode, 1000, np.random.default_rng(3))
    assert_no_difference(photograph(levels), observe(levels), "random states")


# Play

PLAYS = [
    # environments, steps of each, options
    (64, 1040, {"num_levels": 0, "start_level": 5000, "rand_seed": 0}),
    (32, 620, {"num_levels": 200, "start_level": 1_000_000, "rand_seed": 7}),
    (16, 620, {"num_levels": 1, "start_level": LAST_SEED, "rand_seed": 1}),
    (3, 1100, {"num_levels": 2**31 - 1, "start_level": 0, "rand_seed": 2**31 - 1}),
    (1, 1600, {"num_levels": 0, "start_level": 0, "rand_seed": 12345}),
]


def test_play_is_long_enough() -> None:
    assert sum(n * steps for n, steps, _ in PLAYS) >= 100_000


class Match:
    """A native and a real vector of environments that must never differ."""

    def __init__(self, mode: str, n: int, **options: int) -> None:
        self.envs, self.game = MazeVectorEnv(n, mode, **options), ProcgenMazes(n, mode, **options)
        observation, info = self.envs.reset()
        self.compare(observation, np.zeros(n), np.ones(n, bool), info)

    def reset(self) -> None:
        observation, info = self.envs.reset()
        self.game.act(np.full(self.envs.num_envs, NEXT_LEVEL))
        self.compare(observation, np.zeros(self.envs.num_envs), np.ones(self.envs.num_envs, bool), info)

    def step(self, actions: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        observation, reward, terminated, truncated, info = self.envs.step(actions)
        self.game.act(actions)
        assert not (terminated & truncated).any()
        self.compare(observation, reward, terminated | truncated, info)
        np.testing.assert_array_equal(self.game.info()["prev_level_complete"], terminated)
        return terminated, truncated

    def set(self, levels: Levels, steps: NDArray[np.int64]) -> None:
        """Puts both into these states, so many steps into their episodes."""
        self.envs.set_levels(levels)
        self.envs.set_state(self.envs.get_state()._replace(steps=steps))
        for i, level in enumerate(levels):
            state = MazeState.parse(self.game.get_state(i))
            self.game.set_state(i, state.with_level(level, int(steps[i])))

    def compare(
        self, observation: NDArray[np.uint8], reward: NDArray[Any], done: NDArray[np.bool_], info: dict[str, Any]
    ) -> None:
        real_reward, seen, first = self.game.observe()
        np.testing.assert_array_equal(reward, real_reward)
        np.testing.assert_array_equal(done, first)
        np.testing.assert_array_equal(info["level_seed"], self.game.info()["level_seed"])
        assert_no_difference(seen, observation, "play")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("n", "steps", "options"), PLAYS)
def test_play(mode: str, n: int, steps: int, options: dict[str, int]) -> None:
    """Some mice go straight for the cheese, some stray, some wander, one waits; each new episode another way."""
    match, rng = Match(mode, n, **options), np.random.default_rng(n)
    ways = np.array([0.0, 0.05, 0.2, 0.5, 1.0])
    share, ends, actions_seen = rng.choice(ways, n), np.zeros(2, int), np.zeros(15, int)
    for step in range(steps):
        actions = wander(match.envs.levels, share, rng)
        if n > 1 or step < 510:
            actions[0] = rng.choice([STAY, *range(9, 15)])
        terminated, truncated = match.step(actions)
        share = np.where(terminated | truncated, rng.choice(ways, n), share)
        ends += terminated.sum(), truncated.sum()
        actions_seen += np.bincount(actions, minlength=15)
        if step == 550:
            match.reset()
            share = rng.choice(ways, n)
    match.game.close()
    assert ends[0] >= n, "the cheese must be found often"
    assert ends[1] >= 1, "some episodes must time out"
    assert actions_seen.all()


@pytest.mark.parametrize("mode", MODES)
def test_forced_resets_follow_the_stream(mode: str) -> None:
    match, seeds = Match(mode, 64, rand_seed=3), set()
    for _ in range(20):
        match.reset()
        levels = match.envs.levels
        assert [MazeState.parse(match.game.get_state(i)).to_level() for i in range(64)] == list(levels)
        seeds |= set(levels.seed.tolist())
    match.game.close()
    assert len(seeds) >= 1000


@pytest.mark.parametrize("mode", MODES)
def test_steps_from_edited_states(mode: str) -> None:
    """Any walls, several cheeses, the mouse anywhere; early, and in the last steps of an episode."""
    n, rng = 64, np.random.default_rng(11)
    match, at_the_end = Match(mode, n, num_levels=100), np.zeros(2, int)
    for _ in range(15):
        steps = rng.choice([0, 1, 250, 498, 499], n)
        match.set(random_levels(mode, n, rng), steps)
        terminated, truncated = match.step(rng.integers(15, size=n))
        at_the_end += (terminated & (steps == 499)).sum(), (truncated & (steps == 499)).sum()
        for _ in range(3):
            match.step(rng.integers(15, size=n))
    match.game.close()
    assert at_the_end.min() >= 10, "the cheese found on step 500, and not"


# The golden files


@ALL_MODES
def test_the_golden_file_is_what_the_library_gives(mode: str) -> None:
    script = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "make_golden.py"))
    recorded, kept = script["record"](mode), golden(mode)
    assert recorded.keys() == kept.keys()
    for name, values in recorded.items():
        np.testing.assert_array_equal(kept[name], values, err_msg=name)
