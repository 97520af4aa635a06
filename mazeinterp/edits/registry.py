"""Edits by name: registering them, listing them, and their text form.

The text form is one call with literals or named vectors: `add(cheese, -1.0)`, `clamp(channel=5, at=(12, 7),
value=5.5)`, `my_edits:Dampen(channel=7)`. It is parsed as a syntax tree and never run; a name in it is looked up
here and nowhere else. A user's own edits, and vectors computed for each level, come in by `@register("name")`, by an
entry point in the group `mazeinterp.edits`, or as `module:attribute`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..maze.levels import Level, Levels
from .parameters import Parameter, check_value, nearest, parameters
from .vectors import Recipe, SteeringVector, load_vector

if TYPE_CHECKING:
    from .edits import Edit

ENTRY_POINTS = "mazeinterp.edits"
_BUILT_IN = (".ablations", ".recipes", ".steering")
_LONGEST = 4000  # characters; no edit needs them, and deep nesting needs them all

_registered: dict[str, type] = {}

_Class = TypeVar("_Class", bound=type)


class Entry(NamedTuple):
    """A registered edit or vector.

    Attributes:
        name: its name in text.
        cls: its class.
        summary: the first line of its docstring.
        parameters: its parameters, typed, with defaults, bounds and docs.
    """

    name: str
    cls: type
    summary: str
    parameters: tuple[Parameter, ...]


def register(name: str) -> Callable[[_Class], _Class]:
    """Gives an edit, or a vector computed for each level, a name in text: a decorator for its class.

    Args:
        name: an identifier. Registering a class again, as when a notebook's cell is run again, replaces it.

    Raises:
        ValueError: the name is no identifier or belongs to another class.
        TypeError: from the decorator, if the class is neither edit nor recipe.
    """
    if not name.isidentifier():
        raise ValueError(f"an edit's name is an identifier, {name!r} is not")

    def add(cls: _Class) -> _Class:
        check_class(cls)
        other = _registered.get(name, cls)
        if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{name!r} is the name of {other.__module__}.{other.__qualname__}; choose another")
        _registered[name] = cls
        return cls

    return add


def check_class(cls: type) -> None:
    """Makes sure that a class is an edit, or a recipe for a vector.

    Raises:
        TypeError: it is not a frozen dataclass with a `layer` and `apply`, nor one with `for_level`.
    """
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise TypeError(f"{getattr(cls, '__name__', cls)!r} is no edit: it must be a @dataclass(frozen=True)")
    if callable(getattr(cls, "for_level", None)):
        return
    if "layer" not in {field.name for field in dataclasses.fields(cls)} or not callable(getattr(cls, "apply", None)):
        raise TypeError(f"{cls.__name__!r} is no edit: it needs a field `layer` and `apply(self, activation, context)`")


def list_edits() -> list[Entry]:
    """All registered edits, by name."""
    return [entry for entry in _entries() if not issubclass(entry.cls, Recipe)]


def list_vectors() -> list[Entry]:
    """All registered vectors computed for each level, by name."""
    return [entry for entry in _entries() if issubclass(entry.cls, Recipe)]


def parse_edit(text: str) -> Edit:
    """The edit that a text stands for, its parameters checked. Nothing in the text is run.

    Args:
        text: a call of a registered edit, or of `module:Class` (the module is imported, from the current directory
            too), with positional or named arguments: numbers, True, False, None, quoted text, tuples of such, and
            vectors: a registered name, alone or called: `cheese`, `shuffled(cheese, seed=1)`.

    Raises:
        ValueError: it is no such call, or names something unknown (the message has the nearest names), or a parameter
            does not fit (the message says what would).

    >>> parse_edit("zero(channel=5)")
    Zero(channel=5, at=None, cell=None, layer='embedder.block2.res1.resadd_out')
    """
    if len(text) > _LONGEST:
        raise ValueError(f"an edit's text has at most {_LONGEST} characters; this one has {len(text)}")
    module, call = re.fullmatch(r"\s*(?:([\w.]+):)?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # it fits all
    try:
        node = ast.parse(call.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(f"{_shorten(text)} is no edit: {why}; write one like add(cheese, -1.0)") from None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise ValueError(f"{_shorten(text)} is no edit; write one call of one, like add(cheese, -1.0)")
    cls = _imported(module, node.func.id) if module else _find(node.func.id, list_edits(), "edit")
    return _call(node, cls)  # type: ignore[return-value]  # what is looked up is an edit


def find_vector(name: str) -> SteeringVector | Recipe:
    """A vector by name: a registered one, computed for each level, or a file's.

    Args:
        name: a name out of `list_vectors()`, of one that needs no parameter, or a path that ends in .safetensors.

    Raises:
        ValueError: nothing is registered under that name (the message has the nearest), or the file holds no vector.
        FileNotFoundError: there is no such file.
    """
    if name.endswith(".safetensors"):
        return load_vector(name)
    return _made(_find(name, list_vectors(), "vector"), (), {})


def format_edit(edit: Any) -> str:
    """The text form of an edit: the inverse of `parse_edit`. Parameters at their default are left out.

    What has no text form, such as a `SteeringVector` or `Levels`, is shown in angle brackets; such text is for people,
    and does not parse.

    >>> format_edit(parse_edit("clamp(value=1, channel=[5], at=[12, 7])"))
    'clamp(channel=(5,), at=(12, 7), value=1.0)'
    """
    cls: type = type(edit)
    name = next((entry for entry, known in _registered.items() if known is cls), f"{cls.__module__}:{cls.__qualname__}")
    known = parameters(cls)
    # Required parameters go without their names after a vector, as in add(cheese, -1.0), and nowhere else.
    by_name = not (known and isinstance(getattr(edit, known[0].name), Recipe | SteeringVector))
    shown = []
    for place, parameter in enumerate(sorted(known, key=lambda parameter: parameter.name == "layer")):  # which is last
        value = getattr(edit, parameter.name)
        by_name = by_name or parameter.keyword_only or not parameter.required or known[place] is not parameter
        if parameter.required or not _goes_without(edit, parameter):
            shown.append(f"{parameter.name}={_format_value(value)}" if by_name else _format_value(value))
    # A vector that needs no parameter is written as its name alone.
    return name if isinstance(edit, Recipe) and not shown else f"{name}({', '.join(shown)})"


def _entries() -> list[Entry]:
    for module in _BUILT_IN:
        import_module(module, __package__)
    for point in _installed(entry_points):
        if point.name not in _registered:
            try:
                register(point.name)(point.load())
            except Exception as error:
                raise ValueError(f"the entry point {point.name} = {point.value!r} gives no edit: {error}") from error
    return [
        Entry(name, cls, inspect.cleandoc(cls.__doc__ or "").partition("\n")[0], parameters(cls))
        for name, cls in sorted(_registered.items())
    ]


@functools.cache
def _installed(find: Callable[..., Iterable[EntryPoint]]) -> tuple[EntryPoint, ...]:
    """The entry points that are there when first asked for: reading every package's takes milliseconds each time."""
    return tuple(find(group=ENTRY_POINTS))


def _find(name: str, entries: list[Entry], kind: str) -> type:
    found = {entry.name: entry.cls for entry in entries}
    if name not in found:
        raise ValueError(f"unknown {kind} {name!r}; {nearest(name, found)}")
    return found[name]


def _imported(module: str, attribute: str) -> type:
    here = os.getcwd()  # noqa: PTH109  # sys.path holds strings
    if here not in sys.path:
        sys.path.append(here)  # for a command, whose own folder stands in its place
    try:
        cls = getattr(import_module(module), attribute)
        check_class(cls)
    except ModuleNotFoundError as error:
        raise ValueError(f"no module {error.name!r} to find {attribute!r} in; it must be here or installed") from error
    except AttributeError:
        known = [name for name, value in vars(import_module(module)).items() if isinstance(value, type)]
        raise ValueError(f"{module} has no {attribute!r}; {nearest(attribute, known)}") from None
    except TypeError as error:
        raise ValueError(str(error)) from error
    return cls


def _call(node: ast.Call, cls: type) -> object:
    """Makes an instance from a call in a syntax tree."""
    named: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("an edit's parameters are written out; ** is not understood")
        named[keyword.arg] = _value(keyword.value)
    return _made(cls, tuple(map(_value, node.args)), named)


def _made(cls: type, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Makes an instance after checking its parameters."""
    name = next((entry for entry, known in _registered.items() if known is cls), cls.__qualname__)
    known = {parameter.name: parameter for parameter in parameters(cls)}
    positional = [parameter.name for parameter in known.values() if not parameter.keyword_only]
    if len(values) > len(positional):
        raise ValueError(
            f"{name} takes {len(positional)} values without a name ({', '.join(positional)}), not {len(values)}; "
            f"its parameters are {', '.join(known)}"
        )
    given = dict(zip(positional, values, strict=False))
    for parameter in named:
        if parameter not in known:
            raise ValueError(f"{name} has no parameter {parameter!r}; {nearest(parameter, known)}")
        if parameter in given:
            raise ValueError(f"{name} got {parameter} twice")
    given |= named
    missing = [parameter.name for parameter in known.values() if parameter.required and parameter.name not in given]
    if missing:
        raise ValueError(f"{name} needs {' and '.join(f'{part} ({known[part].type})' for part in missing)}")
    return cls(**{part: check_value(value, known[part].hint, f"{name}: {part}") for part, value in given.items()})


def _value(node: ast.expr) -> Any:
    """The value of an argument in a syntax tree."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return node.value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if (
            type(number) is not bool
        ):
            return -number
        case ast.Tuple() | ast.List():
            return tuple(map(_value, node.elts))
        case ast.Name():
            return find_vector(node.id)
        case ast.Call(func=ast.Name(id=name)):
            return _call(node, _find(name, list_vectors(), "vector"))
    if isinstance(node, ast.Attribute | ast.BinOp) and ast.unparse(node).endswith(".safetensors"):
        raise ValueError("a file's name stands in quotes: add('vectors/mine.safetensors', -1.0)")
    raise ValueError(
        f"{_shorten(ast.unparse(node))} is neither a number, a 'quoted' text or a tuple, nor a vector's name; "
        "nothing in an edit's text is computed"
    )


def _goes_without(edit: Any, parameter: Parameter) -> bool:
    """Whether an edit is the same with a parameter at its default, which may stand for another value."""
    try:
        return bool(dataclasses.replace(edit, **{parameter.name: parameter.default}) == edit)
    except (TypeError, ValueError):
        return False


def _format_value(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_format_value, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Recipe):
        return format_edit(value)
    if isinstance(value, Levels):
        return f"<{len(value)} levels>"
    if isinstance(value, Level):
        return f"<level {value.seed}>" if value.seed is not None else "<own level>"
    return f"<{value}>" if not isinstance(value, bool | int | float | str | None) else repr(value)


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}…")
