"""Levels as text: a line of facts, then a line of symbols for each row, the top row first.

`#` wall, `.` free, `C` cheese, `M` mouse, `&` mouse on a cheese.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .generation import CHEESE, FREE, WALL
from .worlds import MODES, mode_of

if TYPE_CHECKING:
    from .levels import Level

_SYMBOLS = {FREE: ".", WALL: "#", CHEESE: "C"}
_MICE = {"M": FREE, "&": CHEESE}
_CODES = {symbol: code for code, symbol in _SYMBOLS.items()} | _MICE
_FLAGS = {"yes": True, "no": False}
_NUMBERS, _SWITCHES = ("background", "seed", "maze_dim"), ("reflected", "edited")


def to_text(level: Level) -> str:
    """The text form of a level."""
    facts = [f"mode={level.mode}"]
    facts += [f"{key}={getattr(level, key)}" for key in _NUMBERS if getattr(level, key) is not None]
    facts += [f"{key}={'yes' if getattr(level, key) else 'no'}" for key in _SWITCHES]
    rows = [[_SYMBOLS[code] for code in row] for row in level.grid.tolist()]
    x, y = level.mouse
    rows[y][x] = next(mouse for mouse, code in _MICE.items() if code == level.grid[y, x])
    return "\n".join([" ".join(facts), *("".join(row) for row in rows[::-1])])


def fields_from_text(text: str) -> dict[str, Any]:
    """The fields of the level that a text describes, for `Level`'s constructor.

    The first line, of `key=value` facts, may be missing.

    Raises:
        ValueError: for an unknown fact or symbol, lines of the wrong number or length, or not exactly one mouse.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    facts = dict(fact.partition("=")[::2] for fact in lines.pop(0).split()) if lines and "=" in lines[0] else {}
    world = len(lines)
    if world not in MODES.values() or any(len(line) != world for line in lines):
        lengths = sorted({len(line) for line in lines})
        raise ValueError(
            f"a level has 25 lines of 25 symbols (hard) or 15 of 15 (easy), not {world} lines of {lengths}"
        )
    if facts.pop("mode", mode_of(world)) != mode_of(world):
        raise ValueError(f"the first line's mode is not that of {world} rows, {mode_of(world)!r}")
    unknown = {symbol for line in lines for symbol in line} - _CODES.keys()
    if unknown:
        raise ValueError(f"unknown symbol {min(unknown)!r} in a level's text; known are {' '.join(_CODES)}")
    rows = lines[::-1]
    mice = [(x, y) for y, row in enumerate(rows) for x, symbol in enumerate(row) if symbol in _MICE]
    if len(mice) != 1:
        raise ValueError(f"a level's text has exactly one mouse (M, or & on a cheese), not {len(mice)}")
    fields: dict[str, Any] = {
        "grid": np.array([[_CODES[symbol] for symbol in row] for row in rows], np.uint8),
        "mouse": mice[0],
    }
    for key, value in facts.items():
        if key in _SWITCHES and value in _FLAGS:
            fields[key] = _FLAGS[value]
        elif key in _NUMBERS and value.isdecimal():
            fields[key] = int(value)
        else:
            raise ValueError(
                f"cannot read {f'{key}={value}'!r} in a level's first line; it holds numbers ({', '.join(_NUMBERS)}) "
                f"and yes or no ({', '.join(_SWITCHES)})"
            )
    return fields
