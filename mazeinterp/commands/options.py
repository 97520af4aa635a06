"""Flags that commands share, with their help, and what their texts stand for: levels, edits, vectors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, cast, get_args

from tyro.conf import UseAppendAction, arg

from ..edits.parameters import nearest
from ..maze.levels import Level, Levels
from ..maze.worlds import MODES, Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..edits.edits import EditedPolicy
    from ..edits.vectors import Recipe, SteeringVector
    from ..policy.network import ImpalaPolicy

_MARKS_HELP = (
    "after seeds may follow @easy (the small world) and @region=N (the cheese in the maze's top-right N × N cells), "
    "after either @no-cheese"
)

PolicyName = Annotated[
    str, arg(metavar="NETWORK", help="name of a network (`mazeinterp policies` lists them), or path of a checkpoint")
]
OneLevel = Annotated[
    str, arg(metavar="LEVEL", help=f"the maze: its seed, or a file that holds one as text; {_MARKS_HELP}")
]
LevelSet = Annotated[
    str,
    arg(
        metavar="LEVELS",
        help="the mazes: 100 (the first hundred seeds), 100:200 (from one seed up to another), 3,14,15, or a file that "
        f"holds them as text, parted by empty lines; {_MARKS_HELP}",
    ),
]
EditTexts = Annotated[
    tuple[str, ...],
    UseAppendAction,
    arg(
        name="edit",
        metavar="EDIT",
        help='an edit, such as "add(cheese, -1.0)" (`mazeinterp edits` lists them) or one of your own, '
        '"my_module:MyEdit(channel=7)"; several apply in their order',
    ),
]
VectorText = Annotated[
    str,
    arg(
        metavar="VECTOR", help="a vector's name (`mazeinterp edits` lists them), such as cheese, or a .safetensors file"
    ),
]
Layer = Annotated[
    str | None,
    arg(metavar="LAYER", help="layer to compute and add at; by default that of Mini et al. 2023, or the file's"),
]
Coefficient = Annotated[float, arg(metavar="NUMBER", help="what to multiply the vector by; -1 subtracts it")]
Workers = Annotated[int, arg(metavar="N", help="processes; the result does not depend on their number")]
Out = Annotated[Path, arg(metavar="FOLDER", help="folder for what is made")]
Format = Annotated[
    Literal["table", "json"],
    arg(help="what to print: tables for people, or one JSON document for programs, alone on standard output"),
]

_Read = TypeVar("_Read")


def read_level(text: str) -> Level:
    """The level that `--level` names: a seed or a file with one level, and marks.

    Raises:
        ValueError: the text names no level, or several.
    """
    base = text.partition("@")[0]
    levels = _read(text, [int(base)] if base.isdecimal() else None)
    if len(levels) != 1:
        raise ValueError(f"{text!r} names {len(levels)} levels, and one is needed: a seed such as 7, or a file of one")
    return levels[0]


def read_levels(text: str) -> Levels:
    """The levels that `--levels` names: a number of seeds, a range, a list, or a file, and marks.

    Raises:
        ValueError: the text names no level.
    """
    base = text.partition("@")[0].replace("_", "")
    seeds: Sequence[int] | None = None
    if base.isdecimal():
        seeds = range(int(base))
    elif found := re.fullmatch(r"(\d+):(\d+)", base):
        seeds = range(int(found[1]), int(found[2]))
    elif re.fullmatch(r"\d+(,\d+)+", base):
        seeds = [int(seed) for seed in base.split(",")]
    return _read(text, seeds)


def edit_policy(policy: ImpalaPolicy, texts: Sequence[str], level: Level) -> EditedPolicy:
    """A policy with the edits that `--edit` names, tried on one level, so that what does not fit is told at once.

    Args:
        policy: the network.
        texts: edits in text form, in the order in which they apply.
        level: a level to try them on.

    Raises:
        ValueError: an edit is unknown, does not fit the network or the level, or fails (a user's own may in any way).
        OSError: a vector's file cannot be read.
    """
    import torch

    from ..edits.edits import edited
    from ..edits.registry import parse_edit
    from ..maze.rendering import observe

    def make_and_try() -> EditedPolicy:
        changed = edited(policy, *map(parse_edit, texts))
        with torch.no_grad():
            changed(observe(level), levels=level)
        return changed

    return _told(make_and_try, " and ".join(texts))


def read_vector(text: str) -> SteeringVector | Recipe:
    """The vector that `--vector` names: a registered one, perhaps called, as in `shuffled(cheese)`, or a file's.

    Raises:
        ValueError: there is no such vector.
        OSError: its file cannot be read.
    """
    from ..edits.registry import find_vector, parse_edit
    from ..edits.steering import Add

    def read() -> SteeringVector | Recipe:
        if not text.endswith(")"):
            return find_vector(text)
        edit = parse_edit(f"add({text}, 1.0)")
        assert isinstance(edit, Add)
        assert not isinstance(edit.vector, str)  # looked up by now
        return edit.vector

    return _told(read, text)


def layer_for(layer: str | None, vector: SteeringVector | Recipe) -> str:
    """The layer that `--layer` names, or by default a vector's own."""
    from ..edits.recording import DEFAULT_LAYER
    from ..edits.vectors import SteeringVector

    return layer or (vector.layer if isinstance(vector, SteeringVector) else DEFAULT_LAYER)


def _told(make: Callable[[], _Read], what: str) -> _Read:
    """What a user's own code gives; whatever it raises becomes a message about it."""
    try:
        return make()
    except (ValueError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"{what} fails with {type(error).__name__}: {error}") from error


def _read(text: str, seeds: Sequence[int] | None) -> Levels:
    """Levels from seeds, or else from a file, with the marks that follow in the text."""
    base, *marks = text.split("@")
    mode: Mode = "hard"
    region, cheese = None, True
    for mark in marks:
        if mark == "no-cheese":
            cheese = False
        elif mark in get_args(Mode) and seeds is not None:
            mode = cast("Mode", mark)
        elif (found := re.fullmatch(r"region=(\d+)", mark)) and seeds is not None:
            region = int(found[1])
        else:
            known = ["no-cheese"] if seeds is None else ["no-cheese", "region=5", *MODES]
            raise ValueError(f"unknown mark @{mark} in {text!r}; {nearest(mark, known)}")
    levels = _from_file(Path(base), text) if seeds is None else Levels.from_seeds(seeds, mode, region)
    if not len(levels):
        raise ValueError(f"{text!r} names no level at all; 100:200 are the seeds from 100 to 199")
    return levels if cheese else levels.without_cheese()


def _from_file(path: Path, text: str) -> Levels:
    if not path.is_file():
        raise ValueError(
            f"{text!r} is neither seeds (100 for the first hundred, 100:200, 3,14,15) nor a file of levels as text"
        )
    try:
        return Levels.stack([Level.from_text(part) for part in re.split(r"\n\s*\n", path.read_text().strip())])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
