"""Mazes from seeds: against the golden levels, a plain rewriting of the rules, and what a maze must be."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from support import GOLDEN, generated, golden, graph_of, modes, regions, seeds

from mazeinterp.maze import MODES, Level, Levels, generate
from mazeinterp.maze.generation import TWISTER_WORDS, draw, seed_twister

SIZES = [(mode, maze_dim) for mode, world in MODES.items() for maze_dim in range(3, world + 1, 2)]

# The twister


def draws(seed: int, count: int) -> list[int]:
    twister = np.empty(TWISTER_WORDS, np.uint32)
    seed_twister(twister, seed)
    return [int(draw(twister)) for _ in range(count)]


def test_the_twister_is_that_of_the_cpp_standard() -> None:
    assert draws(5489, 10_000)[-1] == 4123659995  # ISO C++, [rand.predef]


@given(st.integers(0, 2**32 - 1))
def test_the_twister_is_numpys(seed: int) -> None:
    theirs = np.random.RandomState(seed).randint(0, 2**32, size=1300, dtype=np.uint32)
    assert draws(seed, 1300) == theirs.tolist()


# The rules, written down plainly: numpy's twister, and a label for each cell that spreads when two regions join


def plain_level(seed: int, world: int, region: int | None) -> tuple[NDArray[np.uint8], int, int]:
    """Grid, background and maze_dim of a level seed, as docs/definitions.md says."""
    twister = np.random.RandomState(seed)

    def randn(n: int) -> int:
        return int(twister.randint(0, 2**32, dtype=np.uint32)) % n

    randn(1)
    background = randn(9)
    size = 2 * randn((world - 1) // 2) + 3
    walls = [((i - 1, j), (i, j), (i + 1, j)) for i in range(1, size, 2) for j in range(0, size, 2)]
    walls += [((i, j - 1), (i, j), (i, j + 1)) for i in range(0, size, 2) for j in range(1, size, 2)]
    label = {(i, j): (i, j) for i in range(size) for j in range(size)}
    free: list[tuple[int, int]] = []
    while walls:
        one, middle, other = walls.pop(randn(len(walls)))
        if label[one] != label[other]:
            free += [cell for cell in (one, middle, other) if cell not in free]
            old = label[one]
            label = {cell: label[other] if mark == old else mark for cell, mark in label.items()}
    cheese = None
    if region is None:
        while cheese in (None, (0, 0)):
            cheese = free[randn(len(free))]
    elif region == 0:
        cheese = (size - 1, size - 1)
    else:
        randn(1)
        for _ in range(100 * size):
            cell = free[randn(len(free))]
            if cell != (0, 0) and min(cell) >= size - min(region, size):
                cheese = cell
                break
    grid, margin = np.ones((world, world), np.uint8), (world - size) // 2
    for i, j in free:
        grid[margin + j, margin + i] = 2 if (i, j) == cheese else 0
    return grid, background, size


@settings(max_examples=60)
@given(seeds, modes, regions)
@example(2**31 - 1, "hard", None)
@example(2**31 - 1, "easy", None)
@example(0, "hard", 0)
def test_a_level_follows_the_rules(seed: int, mode: str, region: int | None) -> None:
    grid, background, maze_dim = plain_level(seed, MODES[mode], region)
    level = Level.from_seed(seed, mode, region)
    np.testing.assert_array_equal(level.grid, grid)
    assert (level.background, level.maze_dim, level.seed) == (background, maze_dim, seed)


# What the real games generate


@pytest.mark.parametrize("mode", MODES)
def test_golden_levels(mode: str) -> None:
    want = golden(mode)
    got = Levels.from_seeds(want["level_seed"], mode)
    for name in ("background", "maze_dim", "mouse", "grid"):
        different = [
            seed
            for seed, one, other in zip(got.seed, getattr(got, name), want[f"level_{name}"], strict=True)
            if not np.array_equal(one, other)
        ]
        assert not different, f"{name} of the levels of these seeds"
    assert set(got.background.tolist()) == set(range(9))
    assert {(mode, size) for size in got.maze_dim.tolist()} == {case for case in SIZES if case[0] == mode}


@pytest.mark.parametrize("region", [0, 1, 5, 15])
def test_golden_levels_of_maze_aisc(region: int) -> None:
    with np.load(GOLDEN / "maze_aisc.npz") as want:
        got = Levels.from_seeds(want["seed"], "hard", region)
        assert len(got) == 150
        np.testing.assert_array_equal(got.grid, want[f"region{region}_grid"])
        np.testing.assert_array_equal(got.background, want["background"])
        np.testing.assert_array_equal(got.maze_dim, want["maze_dim"])


def test_golden_levels_of_maze_aisc_without_cheese() -> None:
    with np.load(GOLDEN / "maze_aisc.npz") as want:
        for seed, region, grid in zip(
            want["nocheese_seed"], want["nocheese_region"], want["nocheese_grid"], strict=True
        ):
            level = Level.from_seed(int(seed), "hard", int(region))
            np.testing.assert_array_equal(level.grid, grid)
            assert level.cheese is None


# What a maze must be


def assert_is_a_maze(level: Level) -> None:
    """A spanning tree over every other cell, in a square of maze_dim cells in the middle, walls around it."""
    size, is_open = level.maze_dim, level.grid != 1
    inside = is_open[level.margin : level.margin + size, level.margin : level.margin + size]
    assert is_open.sum() == inside.sum() == 2 * ((size + 1) // 2) ** 2 - 1
    assert inside[::2, ::2].all()
    assert not inside[1::2, 1::2].any()
    graph = graph_of(level)
    parts = connected_components(graph, directed=False)[1].reshape(is_open.shape)
    assert len(set(parts[is_open].tolist())) == 1
    assert graph.nnz == is_open.sum() - 1  # connected, and one edge fewer than squares: a tree
    assert level.mouse == level.to_world((0, 0))
    assert is_open[level.to_world((size - 1, size - 1))]
    assert (level.reflected, level.edited) == (False, False)


@given(generated())
def test_every_generated_maze_is_a_tree(level: Level) -> None:
    assert_is_a_maze(level)


@given(seeds, modes, regions)
def test_the_cheese_lies_in_its_region(seed: int, mode: str, region: int | None) -> None:
    level = Level.from_seed(seed, mode, region)
    if level.cheese is None:
        assert region
        return
    x, y = level.to_inner(level.cheese)
    assert (x, y) != (0, 0)
    if region == 0:
        assert x == y == level.maze_dim - 1
    elif region is not None:
        assert min(x, y) >= level.maze_dim - region


@given(seeds, modes, regions)
def test_the_region_decides_on_the_cheese_alone(seed: int, mode: str, region: int | None) -> None:
    stock, other = Level.from_seed(seed, mode), Level.from_seed(seed, mode, region)
    assert stock.without_cheese() == other.without_cheese()
    assert stock.cheese is not None


@pytest.mark.parametrize(("mode", "maze_dim"), SIZES)
def test_generate_gives_the_size_wanted(mode: str, maze_dim: int) -> None:
    rng = np.random.default_rng(maze_dim)
    drawn = [generate(maze_dim, rng, mode, background=4) for _ in range(20)]
    for level in drawn:
        assert (level.maze_dim, level.mode, level.background, level.seed) == (maze_dim, mode, 4, None)
        assert_is_a_maze(level)
        assert level.cheese not in (None, level.mouse)
    assert len(set(drawn)) > 1
    assert generate(maze_dim, 7, mode) == generate(maze_dim, np.random.default_rng(7), mode)
    assert generate(maze_dim, 7, mode, cheese_region=0).cheese == drawn[0].to_world((maze_dim - 1,) * 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maze_dim": 4}, "maze_dim is 4; in mode 'hard' it is odd, from 3 to 25"),
        ({"maze_dim": 1}, "maze_dim is 1"),
        ({"maze_dim": 27}, "maze_dim is 27"),
        ({"maze_dim": 17, "mode": "easy"}, "maze_dim is 17; in mode 'easy' it is odd, from 3 to 15"),
        ({"mode": "memory"}, "unknown mode 'memory'"),
        ({"cheese_region": -2}, "cheese_region is -2"),
        ({"background": 9}, "background 9"),
    ],
)
def test_what_cannot_be_generated_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(**{"maze_dim": 5, "rng": 0, **arguments})
