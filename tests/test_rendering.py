"""Observations, against golden frames and a plain painter; pictures for people."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import batches, checksums, golden, levels, open_squares, random_levels

from mazeinterp.maze import MODES, Level, Levels, observe, picture, sheet
from mazeinterp.maze.rendering import SIDE, encode_png, sprites

# Against the real library's frames


@pytest.mark.parametrize("mode", MODES)
def test_golden_first_observations(mode: str) -> None:
    want = golden(mode)
    got = observe(Levels.from_seeds(want["level_seed"], mode))
    np.testing.assert_array_equal(got[: len(want["level_pixels"])], want["level_pixels"])
    assert want["level_seed"][checksums(got) != want["level_frame"]].tolist() == []


@pytest.mark.parametrize("mode", MODES)
def test_golden_edited_states(mode: str) -> None:
    want = golden(mode)
    got = observe(Levels(*(want[f"edited_{name}"] for name in ("grid", "mouse", "background", "reflected"))))
    np.testing.assert_array_equal(got[: len(want["edited_pixels"])], want["edited_pixels"])
    assert np.flatnonzero(checksums(got) != want["edited_frame"]).tolist() == []


# Against a plain painter, which knows the sprites but finds by geometry who covers which pixel

WALL_EXCESS = 0.02  # cells by which procgen draws a wall too large on each side


def blend(image: NDArray[np.int64], sprite: NDArray[np.uint8], block: tuple[NDArray[np.intp], ...]) -> None:
    paint = sprite[block].astype(np.int64)
    product = image[block] * (255 - paint[..., 3:])
    image[block] = paint[..., :3] + ((product + (product >> 8) + 128) >> 8)


def plain_observation(level: Level) -> NDArray[np.int64]:
    table, world = sprites(level.mode), level.world
    column_x = (np.arange(SIDE) + 0.5) * world / SIDE
    row_y = column_x[::-1]
    image = table.background[level.background].astype(np.int64)
    for x in range(world):
        for y in range(world):
            excess = WALL_EXCESS if level.grid[y, x] == 1 else 0
            rows = np.flatnonzero((row_y > y - excess) & (row_y < y + 1 + excess))
            columns = np.flatnonzero((column_x > x - excess) & (column_x < x + 1 + excess))
            block = np.ix_(rows, columns)
            if level.grid[y, x] == 1:
                slot = 2 * (np.floor(row_y[block[0]]) != y) + (np.floor(column_x[block[1]]) != x)
                image[block] = table.wall[(slot, *np.broadcast_arrays(*block))]
            elif level.grid[y, x] == 2:
                blend(image, table.cheese, block)
    x, y = level.mouse
    place = np.ix_(np.flatnonzero(np.floor(row_y) == y), np.flatnonzero(np.floor(column_x) == x))
    blend(image, table.mouse[int(level.reflected)], place)
    return image


@settings(max_examples=40)
@given(levels)
def test_observations_are_painted_cell_by_cell(level: Level) -> None:
    np.testing.assert_array_equal(observe(level)[0], plain_observation(level))


@pytest.mark.parametrize("mode", MODES)
def test_the_table_knows_the_cells_that_walls_reach(mode: str) -> None:
    """In two columns and two rows, as docs/definitions.md lists them."""
    reached = {"hard": {20: (8, 7), 43: (16, 17)}, "easy": {8: (1, 2), 55: (13, 12)}}[mode]
    table = sprites(mode)
    for pixels, cells, neighbours in (
        (table.reached_columns, table.columns, table.reach_columns),
        (table.reached_rows, table.rows[::-1], table.reach_rows[::-1]),  # y is up, rows count from the top
    ):
        assert {int(p): (int(cells[p]), int(neighbours[p])) for p in pixels} == reached


# What holds for any observation


@given(batches())
def test_a_batch_is_observed_as_its_rows_are(rows: list[Level]) -> None:
    pixels = observe(rows)
    assert pixels.shape == (len(rows), 64, 64, 3)
    assert pixels.dtype == np.uint8
    for row, shown in zip(rows, pixels, strict=True):
        np.testing.assert_array_equal(observe(row)[0], shown)
    np.testing.assert_array_equal(observe(Levels.stack(rows)), pixels)


@given(levels, st.data())
def test_the_mouse_changes_its_own_square_alone(level: Level, data: st.DataObject) -> None:
    moved = level.with_mouse(data.draw(st.sampled_from(open_squares(level)))).with_reflected(not level.reflected)
    row, column = np.nonzero((observe(level)[0] != observe(moved)[0]).any(axis=-1))
    x = np.floor((column + 0.5) * level.world / SIDE).astype(int)
    y = np.floor((SIDE - row - 0.5) * level.world / SIDE).astype(int)
    squares = set(zip(x.tolist(), y.tolist(), strict=True))
    assert squares <= {level.mouse, moved.mouse}


@pytest.mark.parametrize("background", range(9))
@pytest.mark.parametrize("mode", MODES)
def test_the_mouse_shows_on_every_square_but_one(mode: str, background: int) -> None:
    """A cell has too few pixels for the whole sprite; on one square of the hard world all are transparent ones."""
    world = MODES[mode]
    level = Level(np.zeros((world, world), np.uint8), (0, 0), background)
    everywhere = open_squares(level)
    for reflected, hidden in ((False, (11, 17)), (True, (13, 17))):
        pixels = observe(Levels.stack(level).repeat(world**2).with_mouse(everywhere).with_reflected(reflected))
        bare = (pixels == sprites(mode).background[background]).all(axis=(1, 2, 3))
        assert [square for square, one in zip(everywhere, bare, strict=True) if one] == [hidden] * (mode == "hard")


@pytest.mark.parametrize("mode", MODES)
def test_memory_layout_does_not_matter(mode: str) -> None:
    batch = random_levels(mode, 12, np.random.default_rng(0))
    want = observe(batch)
    fields = (batch.grid, batch.mouse, batch.background, batch.reflected)
    kept = [field.copy() for field in fields]
    for same in (
        batch[::-1][::-1],
        Levels(*(np.asfortranarray(field) for field in fields)),
        Levels(*(np.repeat(field, 2, axis=0)[::2] for field in fields)),
        Levels(batch.grid.transpose(0, 2, 1).copy().transpose(0, 2, 1), *fields[1:]),
        Levels(
            batch.grid.astype(np.int64),
            batch.mouse.astype(np.uint8),
            batch.background.astype(np.int32),
            batch.reflected,
        ),
    ):
        np.testing.assert_array_equal(observe(same), want)
    for field, before in zip(fields, kept, strict=True):
        np.testing.assert_array_equal(field, before)


def test_observations_are_new_arrays() -> None:
    batch = Levels.from_seeds(range(3))
    one, other = observe(batch), observe(batch)
    assert not np.shares_memory(one, other)
    one[:] = 0
    np.testing.assert_array_equal(observe(batch), other)


def test_an_empty_batch_has_no_observations() -> None:
    assert observe(Levels.from_seeds([])).shape == (0, 64, 64, 3)


def test_two_threads_observe_at_once() -> None:
    rng = np.random.default_rng(1)
    several = [random_levels(mode, 100, rng) for _ in range(10) for mode in MODES]
    want = [observe(batch) for batch in several]
    with ThreadPoolExecutor(2) as pool:
        for got, expected in zip(pool.map(observe, several), want, strict=True):
            np.testing.assert_array_equal(got, expected)


# Kernels are compiled once for all processes

USE = """
import numpy as np
from numba import njit
from numba.core import event
from mazeinterp.maze import Levels, MazeVectorEnv, decision_squares, generate, observe
with event.install_recorder("numba:compile") as ours:
    levels = Levels.from_seeds(range(4), "easy", cheese_region=5)
    generate(9, rng=0)
    observe(levels), decision_squares(levels)
    envs = MazeVectorEnv(2)
    envs.reset(seed=0)
    envs.step(np.array([5, 7]))
with event.install_recorder("numba:compile") as control:
    njit(lambda x: x)(1)
print(len(ours.buffer), len(control.buffer))
"""


def test_a_second_process_compiles_nothing() -> None:
    def compilations() -> list[int]:
        command = [sys.executable, "-c", USE]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [int(number) for number in printed.split()]

    compilations()
    ours, control = compilations()
    assert (ours, control > 0) == (0, True)


# Pictures for people


@given(levels)
@settings(max_examples=20)
def test_a_picture_shows_walls_mouse_and_cheese(level: Level) -> None:
    side = 20
    image = picture(level, side * level.world).astype(np.int64)
    assert image.shape == (side * level.world, side * level.world, 3)
    # Mean colour of the middle of each cell, [y, x], y up.
    cells = image.reshape(level.world, side, level.world, side, 3)[::-1, 5:15, :, 5:15].mean(axis=(1, 3))
    x, y = level.mouse
    kinds = level.grid.astype(np.int64)
    kinds[y, x] = 3
    colours = [np.unique(cells[kinds == kind].round(6), axis=0) for kind in range(4)]
    assert all(len(colour) <= 1 for colour in colours[:2])
    means = [colour.mean(axis=0) for colour in colours if len(colour)]
    for i, one in enumerate(means):
        for other in means[:i]:
            assert np.abs(one - other).max() > 20


@pytest.mark.parametrize("size", [25, 64, 500, 777])
def test_a_picture_has_the_size_wanted(size: int) -> None:
    image = picture(Level.from_seed(0), size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8


def test_a_picture_needs_a_pixel_for_each_cell() -> None:
    with pytest.raises(ValueError, match=r"size is 24; .* at least 25 pixels"):
        picture(Level.from_seed(0), 24)


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (6, 1, 6), (7, 2, 6), (36, 6, 6), (50, 6, 6)])
def test_a_sheet_shows_the_first_levels(count: int, rows: int, columns: int) -> None:
    batch = Levels.from_seeds(range(count), "easy")
    image = sheet(batch)
    pitch = (image.shape[0] + 8) // rows
    assert image.shape == (pitch * rows - 8, pitch * columns - 8, 3)
    last = min(count, 36) - 1
    top, left = last // 6 * pitch, last % 6 * pitch
    np.testing.assert_array_equal(image[top:, left:][: pitch - 8, : pitch - 8], picture(batch[last], pitch - 8))


def test_an_empty_sheet_is_refused() -> None:
    with pytest.raises(ValueError, match="no level to draw"):
        sheet(Levels.from_seeds([]))


def test_png_round_trip() -> None:
    image = picture(Level.from_seed(0), 100)
    decoded = cv2.imdecode(np.frombuffer(encode_png(image), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize("function", [observe, sheet])
def test_what_is_no_level_is_refused(function: object) -> None:
    with pytest.raises(TypeError, match="not int"):
        function([0])
    with pytest.raises(ValueError, match="unknown mode 'memory'"):
        sprites("memory")
