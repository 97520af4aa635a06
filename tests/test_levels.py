"""`Level` and `Levels`: values, edits, text, and what they refuse."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import batches, generated, levels, modes, open_squares, regions, seeds, squares

from mazeinterp.maze import MODES, Level, Levels

FIELDS = ("grid", "mouse", "background", "reflected", "seed", "edited", "maze_dim")
EMPTY = np.zeros((15, 15), np.uint8)


def assert_changed(before: Level, after: Level, **changes: object) -> None:
    """The fields named have these values, the walls and cheeses too; all others are as before, and it is edited."""
    assert after.edited
    for name in ("mouse", "background", "reflected", "seed", "maze_dim", "cheeses"):
        assert getattr(after, name) == changes.pop(name, getattr(before, name)), name
    np.testing.assert_array_equal(after.grid == 1, changes.pop("walls", before.grid == 1))
    assert not changes


@st.composite
def level_and_square(draw: st.DrawFn, only_open: bool = False) -> tuple[Level, tuple[int, int]]:
    level = draw(levels)
    return level, draw(st.sampled_from(open_squares(level)) if only_open else squares(level.world))


@pytest.fixture
def level() -> Level:
    return Level.from_seed(3, "easy")


# Values


@given(levels)
def test_a_level_is_a_value(level: Level) -> None:
    same = Level(**{name: copy.deepcopy(getattr(level, name)) for name in FIELDS})
    assert same == level
    assert hash(same) == hash(level)
    other = level.with_background((level.background + 1) % 9)
    assert other != level
    assert len({level, same, other}) == 2
    assert level != str(level)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_counts_for_equality(level: Level, name: str) -> None:
    values = {field: getattr(level, field) for field in FIELDS}
    others = {
        "grid": level.without_cheese().grid,
        "mouse": level.cheese,
        "background": (level.background + 1) % 9,
        "reflected": True,
        "seed": 4,
        "edited": True,
        "maze_dim": None,
    }
    assert Level(**values) == level
    assert Level(**{**values, name: others[name]}) != level


@pytest.mark.parametrize("duplicate", [lambda x: x, copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_level_cannot_be_changed(level: Level, duplicate: Callable[[Level], Level]) -> None:
    twin = duplicate(level)
    assert twin == level
    with pytest.raises(ValueError, match="read-only"):
        twin.grid[0, 0] = 0
    for name in FIELDS:
        with pytest.raises(FrozenInstanceError):
            setattr(twin, name, getattr(level, name))


def test_a_level_keeps_no_hold_on_what_it_was_made_from() -> None:
    grid = EMPTY.copy()
    level = Level(grid, (0, 0))
    grid[5, 5] = 1
    assert level.grid[5, 5] == 0
    batch = Levels.from_seeds([5])
    row, before = batch[0], batch[0]
    batch.grid[:] = 0
    assert row == before


@given(batches())
def test_a_batch_keeps_its_arrays_types(rows: list[Level]) -> None:
    batch, n = Levels.stack(rows), len(rows)
    types = {"grid": np.uint8, "mouse": np.int64, "background": np.uint8, "reflected": np.bool_}
    types |= {"seed": np.int64, "edited": np.bool_, "maze_dim": np.int64}
    for name in FIELDS:
        array = getattr(batch, name)
        assert array.dtype == types[name]
        assert len(array) == n
        assert array.flags.c_contiguous
    assert batch.seed.tolist() == [-1 if row.seed is None else row.seed for row in rows]
    assert batch.maze_dim.tolist() == [row.maze_dim or 0 for row in rows]


@given(level=levels)
def test_reading_a_level(level: Level) -> None:
    assert level.mode == next(mode for mode, world in MODES.items() if world == level.world)
    assert all(level.grid[y, x] == 2 for x, y in level.cheeses)
    assert len(level.cheeses) == (level.grid == 2).sum()
    assert list(level.cheeses) == sorted(level.cheeses)
    if len(level.cheeses) > 1:
        with pytest.raises(ValueError, match=f"{len(level.cheeses)} cheeses"):
            _ = level.cheese
    else:
        assert level.cheese == (level.cheeses[0] if level.cheeses else None)


@given(generated(), squares(15))
def test_inner_coordinates(level: Level, square: tuple[int, int]) -> None:
    assert level.to_world((0, 0)) == level.mouse
    assert level.to_inner(level.mouse) == (0, 0)
    assert level.to_world(level.to_inner(square)) == square
    corner = level.to_world((level.maze_dim - 1, level.maze_dim - 1))
    assert corner == (level.world - 1 - level.margin,) * 2


def test_a_grid_of_ones_own_has_no_inner_coordinates() -> None:
    for use in (lambda x: x.margin, lambda x: x.to_inner((0, 0)), lambda x: x.to_world((0, 0))):
        with pytest.raises(ValueError, match="not generated"):
            use(Level(EMPTY, (0, 0)))


# Edits


@given(level_and_square(only_open=True))
def test_with_cheese(case: tuple[Level, tuple[int, int]]) -> None:
    level, square = case
    assert_changed(level, level.with_cheese(square), cheeses=(square,))


@given(levels)
def test_without_cheese(level: Level) -> None:
    assert_changed(level, level.without_cheese(), cheeses=())


@given(level_and_square(only_open=True))
def test_with_mouse(case: tuple[Level, tuple[int, int]]) -> None:
    level, square = case
    assert_changed(level, level.with_mouse(square), mouse=square)


@given(levels, st.integers(0, 8), st.booleans())
def test_with_background_and_facing(level: Level, background: int, reflected: bool) -> None:
    assert_changed(level, level.with_background(background), background=background)
    assert_changed(level, level.with_reflected(reflected), reflected=reflected)


@given(levels, st.data())
def test_walls_are_built_opened_and_toggled(level: Level, data: st.DataObject) -> None:
    cells = data.draw(st.lists(squares(level.world), max_size=8))
    free = [square for square in cells if square != level.mouse and square not in level.cheeses]
    built, opened = level.grid == 1, level.grid == 1
    for x, y in free:
        built[y, x] = True
    for x, y in cells:
        opened[y, x] = False
    assert_changed(level, level.with_walls(iter(free)), walls=built)
    assert_changed(level, level.without_walls(iter(cells)), walls=opened)
    for x, y in free[:1]:
        toggled = level.grid == 1
        toggled[y, x] ^= True
        assert_changed(level, level.toggle_wall((x, y)), walls=toggled)
        assert_changed(level, level.toggle_wall((x, y)).toggle_wall((x, y)))


@given(levels)
def test_edits_leave_the_original_alone(level: Level) -> None:
    before = Level(**{name: copy.deepcopy(getattr(level, name)) for name in FIELDS})
    square = open_squares(level)[0]
    for edited in (
        level.with_cheese(square),
        level.without_cheese(),
        level.with_mouse(square),
        level.without_walls([(0, 0), (1, 1)]),
        level.with_background(8),
        level.with_reflected(True),
    ):
        assert not np.shares_memory(edited.grid, level.grid)
    assert level == before


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: x.with_cheese((0, 0)), r"cheese cannot stand in the wall at \(0, 0\)"),
        (lambda x: x.with_mouse((0, 0)), r"mouse cannot stand in the wall at \(0, 0\)"),
        (lambda x: x.with_cheese((15, 3)), r"\(15, 3\) is outside the 15 × 15 world"),
        (lambda x: x.with_mouse((3, -1)), r"\(3, -1\) is outside the 15 × 15 world"),
        (lambda x: x.with_walls([(3, 15)]), r"\(3, 15\) is outside"),
        (lambda x: x.without_walls([(-1, 0)]), r"\(-1, 0\) is outside"),
        (lambda x: x.toggle_wall((99, 0)), r"\(99, 0\) is outside"),
        (lambda x: x.with_walls([x.mouse]), "holds the mouse or a cheese"),
        (lambda x: x.with_walls([x.cheese]), "holds the mouse or a cheese"),
        (lambda x: x.toggle_wall(x.mouse), "holds the mouse or a cheese"),
        (lambda x: x.with_background(9), "background 9 is out of range"),
        (lambda x: x.with_background(-1), "background -1 is out of range"),
    ],
)
def test_impossible_edits_are_refused(level: Level, edit: Callable[[Level], Level], message: str) -> None:
    before = Level.from_seed(3, "easy")
    with pytest.raises(ValueError, match=message):
        edit(level)
    assert level == before


# What constructors refuse


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": np.zeros((14, 14), np.uint8)}, r"25 × 25 .* shape \(14, 14\)"),
        ({"grid": np.zeros((15, 25), np.uint8)}, r"shape \(15, 25\)"),
        ({"grid": np.zeros(15, np.uint8)}, r"shape \(15,\)"),
        ({"grid": np.full((15, 15), 3)}, "holds 3"),
        ({"grid": np.full((15, 15), -1)}, "holds -1"),
        ({"grid": np.zeros((15, 15))}, "float64"),
        ({"mouse": (15, 0)}, r"mouse at \(15, 0\) is outside"),
        ({"mouse": (0, -1)}, r"mouse at \(0, -1\) is outside"),
        ({"mouse": (0.5, 0.5)}, "float64"),
        ({"mouse": (1, 2, 3)}, r"\(1, 3\)"),
        ({"grid": np.ones((15, 15), np.uint8)}, r"in the wall at \(2, 1\)"),
        ({"background": 9}, "background 9"),
        ({"background": -1}, "background -1"),
        ({"background": 1.0}, "background is float64"),
        ({"reflected": 1}, "reflected is int64"),
        ({"edited": None}, "edited is object"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**31}, "seed 2147483648"),
        ({"seed": 1.5}, "float64"),
        ({"maze_dim": -3}, "maze_dim -3"),
        ({"maze_dim": 17}, "maze_dim 17"),
    ],
)
def test_wrong_levels_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Level(**{"grid": EMPTY, "mouse": (2, 1), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": EMPTY}, "25 × 25"),
        ({"mouse": np.zeros((3, 2), int)}, r"\(3, 2\)"),
        ({"mouse": np.array([[0, 0], [0, 15]])}, r"\(0, 15\) is outside"),
        ({"background": np.zeros(3, int)}, r"background is int64 of shape \(3,\)"),
        ({"reflected": np.zeros(2, int)}, "reflected is int64"),
        ({"seed": np.array([0, -2])}, "seed -2"),
        ({"maze_dim": np.array([0, 99])}, "maze_dim 99"),
    ],
)
def test_wrong_batches_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Levels(**{"grid": np.stack([EMPTY] * 2), "mouse": np.zeros((2, 2), int), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([-1],), "seed -1 is out of range"),
        (([5, 2**31],), "seed 2147483648 is out of range"),
        (([2**70],), "integers"),
        (([0.5],), "float64"),
        ((3,), r"shape \(\)"),
        (([0], "extreme"), "unknown mode 'extreme'; the modes are 'hard', 'easy'"),
        (([0], "hard", -1), "cheese_region is -1"),
        (([0], "hard", 1.0), r"cheese_region is 1\.0"),
        (([0], "hard", True), "cheese_region is True"),
    ],
)
def test_wrong_seeds_modes_and_regions_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Levels.from_seeds(*arguments)


# Batches


@given(batches(), st.data())
def test_a_batch_is_its_rows(rows: list[Level], data: st.DataObject) -> None:
    batch, n = Levels.stack(rows), len(rows)
    assert len(batch) == n
    assert (batch.mode, batch.world) == (rows[0].mode, rows[0].world)
    assert list(batch) == rows
    assert [batch[i] for i in range(-n, n)] == [rows[i] for i in range(-n, n)]
    assert batch[np.int64(0)] == rows[0]
    part = data.draw(st.slices(n))
    assert list(batch[part]) == rows[part]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    assert list(batch[mask]) == [row for row, kept in zip(rows, mask, strict=True) if kept]
    chosen = data.draw(st.lists(st.integers(-n, n - 1), max_size=6))
    assert list(batch[np.array(chosen, int)]) == [rows[i] for i in chosen]
    assert list(batch[chosen]) == [rows[i] for i in chosen] if chosen else True
    assert list(batch.repeat(3)) == [row for row in rows for _ in range(3)]
    counts = np.arange(n)
    assert list(batch.repeat(counts)) == [row for row, count in zip(rows, counts, strict=True) for _ in range(count)]


@given(batches())
def test_stack_takes_what_functions_of_levels_take(rows: list[Level]) -> None:
    batch = Levels.stack(tuple(rows))
    assert Levels.stack(batch) is batch
    assert list(Levels.stack(rows[0])) == rows[:1]
    assert list(Levels.stack(row for row in rows)) == rows


@given(batches(), st.data())
def test_a_batch_is_edited_as_its_rows_are(rows: list[Level], data: st.DataObject) -> None:
    batch = Levels.stack(rows)
    where = [data.draw(st.sampled_from(open_squares(row))) for row in rows]
    flags = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    assert list(batch.with_mouse(where)) == [row.with_mouse(s) for row, s in zip(rows, where, strict=True)]
    assert list(batch.with_cheese(where)) == [row.with_cheese(s) for row, s in zip(rows, where, strict=True)]
    assert list(batch.without_cheese()) == [row.without_cheese() for row in rows]
    assert list(batch.with_reflected(flags)) == [row.with_reflected(f) for row, f in zip(rows, flags, strict=True)]
    assert list(batch.with_reflected(True)) == [row.with_reflected(True) for row in rows]
    assert list(batch) == rows


@given(batches())
def test_the_cheeses_of_a_batch(rows: list[Level]) -> None:
    batch = Levels.stack(rows)
    if any(len(row.cheeses) > 1 for row in rows):
        with pytest.raises(ValueError, match="cheeses; one at most"):
            _ = batch.cheese
    else:
        assert [tuple(square) for square in batch.cheese.tolist()] == [row.cheese or (-1, -1) for row in rows]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda x: x[3], IndexError, "level 3 of a batch of 3"),
        (lambda x: x[-4], IndexError, "level -4 of a batch of 3"),
        (lambda x: x[[0, 5]], IndexError, "5"),
        (lambda x: x[np.array([True])], IndexError, "boolean"),
        (lambda x: x[np.array([[0, 1]])], IndexError, "one dimension"),
        (lambda x: x.with_mouse([(0, 0)] * 3), ValueError, r"mouse stands in the wall at \(0, 0\)"),
        (lambda x: x.with_mouse([(25, 0)] * 3), ValueError, r"mouse at \(25, 0\) is outside"),
        (lambda x: x.with_mouse([(12, 12)]), ValueError, r"\(1, 2\)"),
        (lambda x: x.with_cheese([(0, 0)] * 3), ValueError, r"cheese.* in the wall at \(0, 0\)"),
        (lambda x: x.with_cheese([(0, -1)] * 3), ValueError, r"cheese.* at \(0, -1\) is outside"),
        (lambda x: x.with_cheese([(0.0, 0.0)] * 3), ValueError, "float64"),
        (lambda x: x.with_reflected([1, 0, 1]), ValueError, "reflected is int64"),
    ],
)
def test_impossible_uses_of_a_batch_are_refused(use: Callable[[Levels], object], error: type, message: str) -> None:
    batch = Levels.from_seeds([1, 2, 3])
    with pytest.raises(error, match=message):
        use(batch)
    assert list(batch) == list(Levels.from_seeds([1, 2, 3]))


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], ValueError, "one mode"),
        ([Level.from_seed(0, "hard"), Level.from_seed(0, "easy")], ValueError, r"\['hard', 'easy'\]"),
        ([0], TypeError, "not int"),
        ("text", TypeError, "not str"),
    ],
)
def test_what_is_no_batch_is_refused(items: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Levels.stack(items)


def test_an_empty_batch() -> None:
    batch = Levels.from_seeds([], "easy")
    assert (len(batch), batch.mode, list(batch)) == (0, "easy", [])
    assert batch.cheese.shape == (0, 2)
    for edited in (batch[:0], batch.repeat(2), batch.without_cheese(), batch.with_mouse(np.empty((0, 2), int))):
        assert len(edited) == 0


@settings(max_examples=30)
@given(st.lists(seeds, min_size=1, max_size=10), modes, regions)
def test_from_seeds_is_from_seed_many_times(chosen: list[int], mode: str, region: int | None) -> None:
    batch = Levels.from_seeds(chosen, mode, region)
    assert list(batch) == [Level.from_seed(seed, mode, region) for seed in chosen]
    assert batch.seed.tolist() == chosen
    assert not batch.edited.any()
    assert not batch.reflected.any()


# Showing


def test_repr_says_what_it_is(level: Level) -> None:
    assert (
        repr(level) == f"<Level: easy, seed 3, maze_dim {level.maze_dim}, mouse {level.mouse}, cheese {level.cheese}>"
    )
    assert "own grid" in repr(Level(EMPTY, (0, 0)))
    assert "cheese none" in repr(level.without_cheese())
    assert "seed 3, edited" in repr(level.without_cheese())
    assert repr(Levels.stack([level, level.without_cheese()])) == "<Levels: 2 × easy, 1 edited>"


def test_a_notebook_shows_levels_as_pictures(level: Level) -> None:
    for shown in (level, Levels.stack([level] * 3), Levels.from_seeds([])):
        png = shown._repr_png_()
        assert png is None if len(Levels.stack(shown)) == 0 else png.startswith(b"\x89PNG")
