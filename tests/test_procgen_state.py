"""The state bytes of the real library: read, edited and written back."""

import platform
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mazeinterp.maze.levels import Level
from mazeinterp.maze.procgen import MazeState, ProcgenMazes
from mazeinterp.maze.worlds import MODES

pytestmark = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the library is for Linux x86-64 only",
)
LEFT, DOWN, UP, RIGHT = 1, 3, 5, 7


def played(mode: str, steps: int, n: int = 4) -> ProcgenMazes:
    """Mazes after so many random steps."""
    mazes = ProcgenMazes(n, mode, rand_seed=7)
    for actions in np.random.default_rng(steps).integers(0, 15, (steps, n)):
        mazes.act(actions)
    return mazes


@pytest.fixture(scope="module", params=MODES)
def state(request: pytest.FixtureRequest) -> MazeState:
    with played(request.param, steps=20) as mazes:
        return MazeState.parse(mazes.get_state(0))


@st.composite
def levels(draw: st.DrawFn) -> Level:
    """Any level: no maze, any number of cheeses."""
    world = draw(st.sampled_from(sorted(MODES.values())))
    x, y = draw(st.tuples(*[st.integers(0, world - 1)] * 2))
    grid = draw(arrays(np.uint8, (world, world), elements=st.integers(0, 2)))
    grid[y, x] = draw(st.sampled_from([0, 2]))
    return Level(
        grid,
        (x, y),
        draw(st.integers(0, 8)),
        draw(st.booleans()),
        maze_dim=draw(st.sampled_from([None, 3, 15])),
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steps", [0, 1, 150, 600])
def test_state_bytes_round_trip(mode: str, steps: int) -> None:
    with played(mode, steps, n=8) as mazes:
        for i in range(8):
            data = mazes.get_state(i)
            state = MazeState.parse(data)
            assert state.to_bytes() == data
            mazes.set_state(i, data)
            assert mazes.get_state(i) == data
            # Writing what was read changes nothing but the report of the last step.
            report = {"reward": 0.0, "done": 0, "episode_done": 0, "level_complete": 0}
            rewritten = state.with_level(state.to_level(), state.steps)
            assert rewritten.replace(**report) == state.replace(**report)


@given(level=levels(), steps=st.integers(0, 499))
def test_levels_pass_through_the_library(level: Level, steps: int) -> None:
    with ProcgenMazes(1, level.mode) as mazes:
        mazes.set_state(0, MazeState.parse(mazes.get_state(0)).with_level(level, steps))
        state = MazeState.parse(mazes.get_state(0))
        assert state.to_level() == level
        assert state.steps == steps
        reward, _, first = mazes.observe()
        assert (reward[0], first[0]) == (0, steps == 0)
        assert mazes.info()["level_seed"][0] == -1


@pytest.mark.parametrize("mode", MODES)
def test_a_state_follows_the_play(mode: str) -> None:
    open_world = Level(np.zeros((MODES[mode],) * 2, np.uint8), (4, 9))
    moves = [(RIGHT, (5, 9), True), (UP, (5, 10), True), (LEFT, (4, 10), False), (DOWN, (4, 9), False)]
    with ProcgenMazes(1, mode) as mazes:
        mazes.set_state(0, MazeState.parse(mazes.get_state(0)).with_level(open_world))
        for step, (action, mouse, reflected) in enumerate(moves, start=1):
            mazes.act([action])
            state = MazeState.parse(mazes.get_state(0))
            assert state.steps == step
            level = state.to_level()
            assert (level.mouse, level.reflected) == (mouse, reflected)
            np.testing.assert_array_equal(level.grid, open_world.grid)


def test_a_state_put_back_replays_the_game(state: MazeState) -> None:
    actions = np.random.default_rng(5).integers(-1, 15, (300, 1))
    with ProcgenMazes(1, state.mode) as mazes:
        streams = []
        for _ in range(2):
            mazes.set_state(0, state)
            stream = []
            for action in actions:
                mazes.act(action)
                stream.append((*(array.tobytes() for array in mazes.observe()), mazes.info()["level_seed"][0]))
            streams.append(stream)
    assert streams[0] == streams[1]
    assert len({seed for *_, seed in streams[0]}) > 5


@pytest.mark.parametrize("mode", MODES)
def test_a_level_is_edited_where_it_is_not_its_seeds(mode: str) -> None:
    with ProcgenMazes(1, mode) as mazes:
        state = MazeState.parse(mazes.get_state(0))
    level = state.to_level()
    assert not level.edited
    assert state.with_level(level.without_cheese()).to_level() == level.without_cheese()
    assert state.with_level(level.with_background((level.background + 1) % 9)).to_level().edited


@given(fraction=st.floats(0, 1, exclude_max=True))
def test_bytes_cut_short_are_refused(state: MazeState, fraction: float) -> None:
    data = state.to_bytes()
    with pytest.raises(ValueError, match="cut short"):
        MazeState.parse(data[: int(fraction * len(data))])


def test_a_state_is_shown_in_a_line(state: MazeState) -> None:
    assert repr(state) == f"<MazeState: {state.mode}, seed {state['level_seed']}, step 20, {len(state.data)} bytes>"


def test_the_field_in_which_the_bytes_end_is_named(state: MazeState) -> None:
    with pytest.raises(ValueError, match="'version'"):
        MazeState.parse(b"")
    with pytest.raises(ValueError, match="'generator'"):
        MazeState.parse(state.to_bytes()[: state.starts[3] - 1])
    with pytest.raises(ValueError, match="'end'"):
        MazeState.parse(state.to_bytes()[:-1])


def test_bytes_to_spare_are_refused(state: MazeState) -> None:
    with pytest.raises(ValueError, match="3 bytes to spare"):
        MazeState.parse(state.to_bytes() + b"abc")


def test_another_games_bytes_are_refused(state: MazeState) -> None:
    data = state.to_bytes()
    version, length = struct.unpack_from("<ii", data)
    other = struct.pack("<ii", version, 7) + b"coinrun" + data[8 + length :]
    with pytest.raises(ValueError, match="coinrun"):
        MazeState.parse(other)
    with pytest.raises(ValueError, match="'game'"):
        MazeState.parse(b"these are no state bytes" * 1000)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 1),
        ("use_monochrome_assets", 1),
        ("center_agent", 1),
        ("distribution_mode", 10),
        ("level_seed_high", 0),
        ("generator_seeded", 0),
        ("entities", 2),
        ("mouse_type", 5),
        ("background", 9),
        ("world_width", 31),
        ("end", 17),
    ],
)
def test_a_field_that_no_maze_has_is_refused(state: MazeState, name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"\b{value}\b"):
        state.replace(**{name: value})


def test_unknown_fields_are_refused(state: MazeState) -> None:
    with pytest.raises(KeyError, match="cheese"):
        state.replace(cheese=1)
    with pytest.raises(KeyError, match="cheese"):
        state["cheese"]


def test_a_grid_that_no_maze_has_is_refused(state: MazeState) -> None:
    grid = state["grid"].copy()
    grid[7] = 9
    with pytest.raises(ValueError, match=r"codes \[.*9.*\]"):
        state.replace(grid=grid)
    with pytest.raises(ValueError, match=f"'grid' has {len(grid)} items, {len(grid) - 1} were given"):
        state.replace(grid=grid[:-1])


def test_states_and_levels_of_the_other_mode_are_refused(state: MazeState) -> None:
    other = "easy" if state.mode == "hard" else "hard"
    with pytest.raises(ValueError, match=f"{other!r}.*{state.mode!r}"):
        state.with_level(Level.from_seed(0, other))
    with ProcgenMazes(1, other) as mazes:
        before = mazes.get_state(0)
        with pytest.raises(ValueError, match=f"{state.mode!r}.*{other!r}"):
            mazes.set_state(0, state)
        with pytest.raises(ValueError, match="cut short"):
            mazes.set_state(0, before[:-8])
        assert mazes.get_state(0) == before


@pytest.mark.parametrize("steps", [-1, 500])
def test_an_episode_cannot_begin_at_its_end(state: MazeState, steps: int) -> None:
    with pytest.raises(ValueError, match=str(steps)):
        state.with_level(state.to_level(), steps)
