"""Levels as text, and back."""

import numpy as np
import pytest
from hypothesis import given
from support import levels

from mazeinterp.maze import Level


@given(levels)
def test_text_round_trip(level: Level) -> None:
    text = str(level)
    assert Level.from_text(text) == level
    assert len(text.splitlines()) == level.world + 1


@given(levels)
def test_text_shows_the_world_from_above(level: Level) -> None:
    rows = str(level).splitlines()[1:]
    x, y = level.mouse
    for (row, column), symbol in np.ndenumerate(np.array([list(row) for row in rows])):
        square = column, level.world - 1 - row
        content = level.grid[square[1], square[0]]
        assert symbol == (".#C"[content] if square != (x, y) else "M?&"[content])


def test_text_without_its_first_line() -> None:
    level = Level.from_seed(3, "easy").with_background(7).with_reflected(True)
    plain = Level.from_text(str(level).partition("\n")[2])
    np.testing.assert_array_equal(plain.grid, level.grid)
    assert (plain.mouse, plain.background, plain.reflected) == (level.mouse, 0, False)
    assert (plain.seed, plain.edited, plain.maze_dim) == (None, False, None)


TEXT = "\n".join(["M" + "." * 14, *["." * 15] * 14])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 lines"),
        ("M..", "1 lines"),
        (TEXT + "\n" + "." * 15, "16 lines"),
        (TEXT[:-1], r"15 lines of \[14, 15\]"),
        (TEXT.replace("M", "?"), r"unknown symbol '\?'"),
        (TEXT.replace("M", "."), "exactly one mouse .*, not 0"),
        (TEXT[:-1] + "&", "exactly one mouse .*, not 2"),
        ("mode=hard\n" + TEXT, "easy"),
        ("colour=7\n" + TEXT, "colour"),
        ("background=9\n" + TEXT, "background 9"),
        ("background=blue\n" + TEXT, "blue"),
        ("reflected=1\n" + TEXT, "reflected=1"),
        ("seed=-1\n" + TEXT, "-1"),
        ("seed=2147483648\n" + TEXT, "seed 2147483648"),
    ],
)
def test_text_that_is_no_level_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Level.from_text(text)
    assert Level.from_text(TEXT).mouse == (0, 14)
