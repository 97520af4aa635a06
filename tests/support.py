"""What the tests of the maze share: levels of every kind, golden data, and a maze as a graph for scipy."""

import platform
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from mazeinterp.maze import ACTION_MOVE, MODES, Level, Levels, best_moves, generate

GOLDEN = Path(__file__).parent / "golden"
SEEDS = 2**31

# On this platform the library must be there: `make test` fetches it, and a test without it fails.
real = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the real library exists for Linux x86-64 only",
)
backends = pytest.mark.parametrize("backend", ["native", pytest.param("procgen", marks=real)])

generate(3, rng=0), Level.from_seed(0)  # compiled here, so that no drawing of an example waits for it

modes = st.sampled_from(sorted(MODES))
seeds = st.integers(0, SEEDS - 1)
regions = st.none() | st.integers(0, 30)


def golden(mode: str) -> dict[str, NDArray[Any]]:
    """One mode's arrays of golden/procgen.npz, by their names without the prefix."""
    with np.load(GOLDEN / "procgen.npz") as file:
        return {name.removeprefix(f"{mode}_"): file[name] for name in file if name.startswith(mode)}


def checksums(frames: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32 of each frame of uint8 [..., 64, 64, 3]."""
    flat = frames.reshape(-1, *frames.shape[-3:])
    return np.array([zlib.crc32(frame.tobytes()) for frame in flat], np.uint32).reshape(frames.shape[:-3])


def squares(world: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, world - 1), st.integers(0, world - 1))


def open_squares(level: Level) -> list[tuple[int, int]]:
    return [(x, y) for y, x in np.argwhere(level.grid != 1).tolist()]


@st.composite
def generated(draw: st.DrawFn, modes: st.SearchStrategy[str] = modes) -> Level:
    """A level as it is generated, from a seed or of a wanted size."""
    mode, region = draw(modes), draw(regions)
    if draw(st.booleans()):
        return Level.from_seed(draw(seeds), mode, region)
    return generate(draw(st.sampled_from(range(3, MODES[mode] + 1, 2))), draw(seeds), mode, region)


@st.composite
def painted(draw: st.DrawFn, modes: st.SearchStrategy[str] = modes) -> Level:
    """A generated level with some walls opened or built, so with loops and places that nothing leads to."""
    level = draw(generated(modes))
    level = level.with_mouse(draw(st.sampled_from(open_squares(level))))
    for square in draw(st.lists(squares(level.world), max_size=20, unique=True)):
        if square != level.mouse and square not in level.cheeses:
            level = level.toggle_wall(square)
    if draw(st.booleans()):
        level = level.with_cheese(draw(st.sampled_from(open_squares(level))))
    return level


@st.composite
def written(draw: st.DrawFn, modes: st.SearchStrategy[str] = modes) -> Level:
    """Any state that can be written down: no maze, any number of cheeses, the mouse anywhere."""
    world = MODES[draw(modes)]
    grid = draw(arrays(np.uint8, (world, world), elements=st.integers(0, 2)))
    x, y = draw(squares(world))
    grid[y, x] = draw(st.sampled_from([0, 2]))
    return Level(
        grid,
        (x, y),
        background=draw(st.integers(0, 8)),
        reflected=draw(st.booleans()),
        seed=draw(st.none() | seeds),
        edited=draw(st.booleans()),
        maze_dim=draw(st.none() | st.sampled_from(range(3, world + 1, 2))),
    )


levels = generated() | painted() | written()


@st.composite
def batches(draw: st.DrawFn) -> list[Level]:
    """Several levels of one mode."""
    mode = st.just(draw(modes))
    return draw(st.lists(generated(mode) | painted(mode) | written(mode), min_size=1, max_size=5))


def random_levels(mode: str, count: int, rng: np.random.Generator) -> Levels:
    """Any states, as `written` gives them, many at once: sparse and dense walls, some cheeses."""
    world, rows = MODES[mode], np.arange(count)
    walls, cheeses = rng.random((2, count, world, world))
    grid = np.where(walls < rng.random((count, 1, 1)), 1, np.where(cheeses < 0.1, 2, 0)).astype(np.uint8)
    x, y = rng.integers(world, size=(2, count))
    grid[rows, y, x] = 2 * rng.integers(2, size=count)
    background, reflected = rng.integers(9, size=count), rng.integers(2, size=count) > 0
    return Levels(grid, np.stack([x, y], axis=1), background, reflected)


def graph_of(level: Level) -> csr_array:
    """The open squares as a graph, nodes numbered y · world + x, by scipy."""
    is_open = level.grid != 1
    numbers = np.arange(level.world**2).reshape(level.grid.shape)
    across = np.stack([numbers[:, :-1], numbers[:, 1:]])[:, is_open[:, :-1] & is_open[:, 1:]]
    along = np.stack([numbers[:-1], numbers[1:]])[:, is_open[:-1] & is_open[1:]]
    one, other = np.concatenate([across, along], axis=1)
    return csr_array((np.ones(len(one)), (one, other)), shape=(level.world**2,) * 2)


def steps_to(level: Level, square: tuple[int, int]) -> NDArray[np.float64]:
    """Steps from every square to one, by scipy: [world, world], inf where there is no way."""
    node = square[1] * level.world + square[0]
    steps = shortest_path(graph_of(level), directed=False, unweighted=True, indices=node)
    return steps.reshape(level.grid.shape)


def wander(levels: Levels, share: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """An action for each mouse: at random in this share of the steps, else towards the cheese, in any of its forms."""
    masks = best_moves(levels, np.where(levels.cheese < 0, levels.mouse, levels.cheese))
    here = masks[np.arange(len(levels)), levels.mouse[:, 1], levels.mouse[:, 0]]
    action = rng.integers(15, size=len(levels))
    for i in np.flatnonzero((here > 0) & (rng.random(len(levels)) >= share)):
        towards = here[i] >> ACTION_MOVE & 1 & (ACTION_MOVE < 4)
        action[i] = rng.choice(np.flatnonzero(towards))
    return action


def assert_same(one: Any, other: Any) -> None:
    """Equal all through: type, shape and content of nested tuples, dictionaries and arrays."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    elif isinstance(one, np.ndarray) and one.dtype == object:
        assert_same(list(one), list(other))
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    else:
        assert type(one) is type(other)
        assert one == other
