"""The typed parameters of edits: read off a dataclass's fields, described in words, and checked.

A parameter's type hint says all there is to say: what a value must be, within which bounds (`Range`), and, as a
string among the annotations, how to call it in messages.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
import re
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np


@dataclasses.dataclass(frozen=True)
class Range:
    """The bounds of a numeric parameter: `coefficient: Annotated[float, Range(-5, 5)]`.

    Attributes:
        low: the least value, None for no bound.
        high: the greatest value, None for no bound.
        soft: whether the bounds are only a suggestion for a slider; values outside are then valid.
    """

    low: float | None = None
    high: float | None = None
    soft: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        parts = [f"{sign} {bound:g}" for sign, bound in (("≥", self.low), ("≤", self.high)) if bound is not None]
        return " and ".join(parts)


class Parameter(NamedTuple):
    """One parameter of an edit.

    Attributes:
        name: its name.
        hint: its type hint, annotations included.
        type: the hint in words.
        default: its default value, None if it is required.
        required: whether it has no default.
        keyword_only: whether it is given by name only.
        range: its bounds, None if it has none.
        doc: what its class's docstring says of it.
    """

    name: str
    hint: Any
    type: str
    default: Any
    required: bool
    keyword_only: bool
    range: Range | None
    doc: str


@functools.cache
def parameters(cls: type) -> tuple[Parameter, ...]:
    """The parameters of a dataclass, in the order of its constructor.

    Args:
        cls: a dataclass, or an instance's class.

    Raises:
        TypeError: it is no dataclass, or has a type hint that names nothing.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise TypeError(f"the type hints of {cls.__qualname__} cannot be resolved: {error}") from error
    docs = _attribute_docs(cls)
    fields = [field for field in dataclasses.fields(cls) if field.init]
    found = []
    for field in sorted(fields, key=lambda field: bool(field.kw_only)):
        hint = hints[field.name]
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        default = None if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        bounds = next((note for note in _notes(hint) if isinstance(note, Range)), None)
        kind = describe(hint)
        found.append(
            Parameter(field.name, hint, kind, default, required, bool(field.kw_only), bounds, docs.get(field.name, ""))
        )
    return tuple(found)


def check_value(value: Any, hint: Any, name: str) -> Any:
    """Checks a value against a type hint and its bounds.

    Args:
        value: anything.
        hint: a type hint: a class, None, a union, a literal or a tuple of such, annotated or not.
        name: what to call the value in messages.

    Returns:
        The value in its plain form: whole numbers become floats where floats are wanted, numpy's numbers become
        Python's, lists become tuples.

    Raises:
        ValueError: it does not fit; the message says what would.
    """
    try:
        return _fit(value, hint)
    except _MisfitError:
        raise ValueError(f"{name} must be {describe(hint)}; got {value!r}") from None


def describe(hint: Any) -> str:
    """A type hint in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        said = next((note for note in arguments[1:] if isinstance(note, str)), None)
        bounds = [f" {note}" for note in arguments[1:] if isinstance(note, Range) and not note.soft]
        return said or describe(arguments[0]) + "".join(bounds)
    if origin in (Union, UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"several ({describe(arguments[0])}, …)"
    if origin is tuple:
        return "(" + ", ".join(map(describe, arguments)) + ")"
    words = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", NoneType: "None"}
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the known names nearest to it."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.0)
    return f"nearest: {', '.join(close)}" if close else "there are none"


class _MisfitError(Exception):
    """A value does not fit a hint."""


def _fit(value: Any, hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        fitted = _fit(value, arguments[0])
        if any(isinstance(note, Range) and not note.soft and fitted not in note for note in arguments[1:]):
            raise _MisfitError
        return fitted
    if origin in (Union, UnionType):
        for argument in arguments:
            try:
                return _fit(value, argument)
            except _MisfitError:
                continue
        raise _MisfitError
    if origin is Literal:
        if not any(value == option and type(value) is type(option) for option in arguments):
            raise _MisfitError
        return value
    if origin is tuple:
        return _fit_tuple(value, arguments)
    if hint in (int, float, bool):
        return _fit_number(value, hint)
    if hint is not Any and not isinstance(value, origin or hint or NoneType):
        raise _MisfitError
    return value


def _fit_tuple(value: Any, hints: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _MisfitError
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(value) != len(hints):
        raise _MisfitError
    return tuple(_fit(item, hint) for item, hint in zip(value, hints, strict=True))


def _fit_number(value: Any, kind: type) -> int | float | bool:
    if isinstance(value, bool | np.bool_):
        if kind is not bool:
            raise _MisfitError
        return bool(value)
    if kind is int and isinstance(value, int | np.integer):
        return int(value)
    if kind is float and isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value):
        return float(value)
    raise _MisfitError


def _notes(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()


def _attribute_docs(cls: type) -> dict[str, str]:
    """What the `Attributes:` sections of a class's docstring, and of its bases', say of each field."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        text = inspect.cleandoc(base.__doc__ or "")
        section = re.search(r"^Attributes:\n((?: +.*\n?|\n)+)", text, re.MULTILINE)
        entries = re.findall(r"^    (\w+): ((?:.*\n?)(?:^ {5,}.*\n?)*)", section[1], re.MULTILINE) if section else []
        docs |= {name: " ".join(said.split()) for name, said in entries}
    return docs
