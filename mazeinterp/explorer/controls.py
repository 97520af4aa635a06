"""Edits and the page: what controls each parameter needs, and an edit from the page's JSON.

Nothing that comes from the page is run or imported, and no file is opened for it: names are looked up among what is
registered, values are checked against the parameters' type hints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ..edits.edits import Edit
from ..edits.parameters import Parameter, Range, check_value, nearest
from ..edits.registry import Entry, list_edits, list_vectors
from ..edits.vectors import Recipe, SteeringVector
from ..maze.levels import Level, Levels
from .protocol import EditRequest, RequestError

_PLAIN: dict[Any, str] = {bool: "bool", int: "int", float: "float", str: "str"}
_PAIRS = {"at": "square", "square": "square", "cell": "cell"}
_FIRST_VECTOR = "cheese"

PRESETS = tuple(
    {"label": label, "edit": {"name": "add", "parameters": {"vector": vector, "coefficient": coefficient}}}
    for label, vector, coefficient in (
        ("Subtract the cheese vector", "cheese", -1.0),
        ("Add the top-right vector", "top_right", 1.0),
    )
)
"""Edits that the page offers with one click: the published ones (arXiv 2310.08043)."""


def describe_entries(entries: list[Entry]) -> list[dict[str, Any]]:
    """Edits or vectors for the catalogue: name, summary and parameters, each with all that a control needs."""
    return [
        {
            "name": entry.name,
            "summary": entry.summary,
            "parameters": [describe_parameter(parameter) for parameter in entry.parameters],
        }
        for entry in entries
    ]


def describe_parameter(parameter: Parameter) -> dict[str, Any]:
    """What a parameter's control needs to know; see `mazeinterp.explorer.protocol`."""
    options = _options(parameter.hint)
    kind, choices = _control(parameter.name, [option for option in options if option is not NoneType])
    bounds = _bounds(parameter.hint)
    low, high = (bounds.low, bounds.high) if bounds else (None, None)
    default = _plain(parameter.default)
    initial = _initial(kind, choices, low, high) if parameter.required else default
    return {
        "name": parameter.name,
        "type": kind,
        "optional": NoneType in options,
        "required": parameter.required,
        "default": default,
        "initial": initial,
        "low": low,
        "high": high,
        "soft": bool(bounds and bounds.soft),
        "choices": choices,
        "doc": parameter.doc,
        "words": parameter.type,
    }


def make_edit(asked: EditRequest) -> Edit:
    """The edit that the page asks for.

    Raises:
        RequestError: no edit is registered under that name, or a parameter does not fit; the message says what would.
    """
    edit: Edit = _make(asked.name, asked.parameters, {entry.name: entry for entry in list_edits()}, "edit")
    return edit


def _make(name: str, parameters: Mapping[str, Any], entries: dict[str, Entry], what: str) -> Any:
    if name not in entries:
        raise RequestError(f"unknown {what} {name!r}; {nearest(name, entries)}; only registered ones are taken")
    known = {parameter.name: parameter for parameter in entries[name].parameters}
    unknown = parameters.keys() - known.keys()
    if unknown:
        raise RequestError(f"{name} has no parameter {min(unknown)!r}; {nearest(min(unknown), known)}")
    missing = [part for part, parameter in known.items() if parameter.required and part not in parameters]
    if missing:
        raise RequestError(f"{name} needs {' and '.join(f'{part} ({known[part].type})' for part in missing)}")
    values = {part: _value(value, known[part], name) for part, value in parameters.items()}
    try:
        return entries[name].cls(**values)
    except (TypeError, ValueError) as error:
        raise RequestError(f"{name}: {error}") from error


def _value(value: Any, parameter: Parameter, name: str) -> Any:
    options = [option for option in _options(parameter.hint) if option is not NoneType]
    if _control(parameter.name, options)[0] == "vector" and value is not None:
        return _vector(value, f"{name}: {parameter.name}")
    try:
        return check_value(value, parameter.hint, f"{name}: {parameter.name}")
    except ValueError as error:
        raise RequestError(str(error)) from None


def _vector(value: Any, what: str) -> Any:
    match value:
        case str() as name:
            parameters: Mapping[str, Any] = {}
        case {"name": str() as name, "parameters": dict() as parameters}:
            pass
        case _:
            raise RequestError(f'{what} is a registered vector: "cheese", or {{"name": …, "parameters": {{…}}}}')
    return _make(name, parameters, {entry.name: entry for entry in list_vectors()}, "vector")


def _plain(value: Any) -> Any:
    """A default as the page would give it; None where it could not, as for levels."""
    if isinstance(value, Recipe):
        known = {entry.cls: entry for entry in list_vectors()}
        if type(value) not in known:
            return None
        entry = known[type(value)]
        parameters = {part.name: _plain(getattr(value, part.name)) for part in entry.parameters}
        return {"name": entry.name, "parameters": parameters}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) else None


def _options(hint: Any) -> list[Any]:
    """The alternatives of a hint, without annotations."""
    if get_origin(hint) is Annotated:
        return _options(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [option for part in get_args(hint) for option in _options(part)]
    return [hint]


def _bounds(hint: Any) -> Range | None:
    """The first bounds in a hint, those of its parts included."""
    found = next((note for note in get_args(hint)[1:] if isinstance(note, Range)), None)
    if get_origin(hint) is Annotated and found is not None:
        return found
    parts = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
    return next((bounds for part in parts if (bounds := _bounds(part)) is not None), None)


def _control(name: str, options: list[Any]) -> tuple[str, list[Any] | None]:
    """The control of a parameter with these alternatives, and the choices if it is one of some."""
    if any(option is Recipe or option is SteeringVector for option in options):
        return "vector", None
    plain = [option for option in options if option not in (Level, Levels)]
    tuples = [get_args(option) for option in plain if get_origin(option) is tuple]
    if tuples and all(_options(part) == [int] for part in tuples[0] if part is not Ellipsis):
        if tuples[0][-1] is Ellipsis:
            return "channels", None
        if len(tuples[0]) == 2:
            return _PAIRS.get(name, "seeds"), None
    if len(plain) == 1 and get_origin(plain[0]) is Literal:
        return "choice", list(get_args(plain[0]))
    if len(plain) == 1 and plain[0] in _PLAIN:
        return ("layer" if name == "layer" and plain[0] is str else _PLAIN[plain[0]]), None
    return "unsupported", None


def _initial(kind: str, choices: list[Any] | None, low: float | None, high: float | None) -> Any:
    """A value for a required parameter to start from; None where there is no natural one."""
    if kind in ("int", "float"):
        start = min(max(1 if kind == "float" else 0, -1e9 if low is None else low), 1e9 if high is None else high)
        return int(start) if kind == "int" else float(start)
    first = choices[0] if choices else None
    return {"choice": first, "vector": _FIRST_VECTOR, "bool": False, "str": "", "channels": 0}.get(kind)
