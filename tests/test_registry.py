"""Names and text forms: round trips, what is refused, and users' own edits by each of the three ways in."""

import builtins
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mazeinterp.edits import (
    DEFAULT_LAYER,
    Add,
    Another,
    Cheese,
    Clamp,
    Edit,
    EditContext,
    Matched,
    Mean,
    Patch,
    Project,
    Random,
    Range,
    Recipe,
    Resample,
    Run,
    Scale,
    Shuffled,
    SteeringVector,
    TopRight,
    Translated,
    Zero,
    find_vector,
    format_edit,
    list_edits,
    list_vectors,
    parse_edit,
    register,
    registry,
)
from mazeinterp.maze import Level, Levels
from mazeinterp.policy import LAYERS

# Round trips

finite = st.floats(allow_nan=False, allow_infinity=False)
index = st.integers(0, 10**9)
pairs = st.tuples(index, index)
layers = st.sampled_from(LAYERS)
places = st.one_of(st.just({}), st.fixed_dictionaries({"at": pairs}), st.fixed_dictionaries({"cell": pairs}))
channels = st.none() | index | st.lists(index, min_size=1, max_size=4).map(tuple)


def controls(inner: st.SearchStrategy[Recipe]) -> st.SearchStrategy[Recipe]:
    of_seed = st.one_of(st.builds(kind, of=inner, seed=index) for kind in (Shuffled, Random, Matched))
    moved = st.builds(Translated, of=inner, right=st.integers(), up=st.integers())
    return of_seed | moved | st.builds(Another, of=inner, reference=pairs, seed=index)


vectors: st.SearchStrategy[Any] = st.recursive(
    st.builds(Cheese) | st.builds(TopRight) | st.builds(Run, index), controls
)


def region(kind: type[Edit], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Edit]:
    def build(place: dict[str, Any], channel: Any, layer: str, rest: dict[str, Any]) -> Edit:
        return kind(channel=channel, layer=layer, **place, **rest)

    return st.builds(build, places, channels, layers, st.fixed_dictionaries(fields))


edits = st.one_of(
    st.builds(Add, vectors, finite, layers),
    st.builds(Project, vectors, layers),
    region(Clamp, value=finite),
    region(Scale, positive=finite, negative=finite),
    region(Zero),
    region(Mean, reference=pairs),
    region(Resample, reference=pairs, seed=index),
    region(Patch, source=vectors),
)


@given(edit=edits)
def test_text_is_another_form_of_an_edit(edit: Edit) -> None:
    text = format_edit(edit)
    assert parse_edit(text) == edit
    assert format_edit(parse_edit(text)) == text


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        ("add(cheese, -1.0)", Add(Cheese(), -1.0)),
        ("clamp(channel=5, at=(12, 7), value=5.5)", Clamp(channel=5, at=(12, 7), value=5.5)),
        ("zero()", Zero()),
        ("add(shuffled(cheese, seed=3), 2.0)", Add(Shuffled(Cheese(), 3), 2.0)),
        ("patch(run(level=7), channel=(1, 2))", Patch(Run(7), channel=(1, 2))),
        ("mean(channel=(3,), layer='embedder.fc_out')", Mean(channel=(3,), layer="embedder.fc_out")),
        ("project(top_right)", Project("top_right")),
    ],
)
def test_text_forms(text: str, edit: Edit) -> None:
    assert parse_edit(text) == edit
    assert format_edit(edit) == text


def test_loose_writing_is_understood() -> None:
    assert parse_edit("  add( 'cheese',\n -1 , )  ") == Add(Cheese(), -1.0)
    assert parse_edit("add(coefficient=1, vector=cheese)") == Add(Cheese(), 1.0)
    assert parse_edit("zero(channel=[1, 2])") == Zero(channel=(1, 2))
    assert isinstance(parse_edit("clamp(value=3)").value, float)  # type: ignore[attr-defined]


def test_what_has_no_text_is_shown_for_people() -> None:
    vector = SteeringVector(np.ones(3), "embedder.fc_out", None, "cheese of level 3")
    for edit, text in (
        (Add(vector, -1.0), "add(<cheese of level 3>, -1.0)"),
        (Mean(reference=Levels.from_seeds(range(4))), "mean(reference=<4 levels>)"),
        (Patch(Run(Level.from_seed(9))), "patch(run(level=<level 9>))"),
    ):
        assert format_edit(edit) == text
        with pytest.raises(ValueError, match="is no edit"):
            parse_edit(text)


def test_vectors_come_from_files_too(tmp_path: Path) -> None:
    vector = SteeringVector(np.ones((2, 3, 3)), "embedder.block1.conv_out", None, "made up")
    vector.save(tmp_path / "v.safetensors")
    assert parse_edit(f"add({str(tmp_path / 'v.safetensors')!r}, 2)") == Add(vector, 2.0, "embedder.block1.conv_out")
    with pytest.raises(FileNotFoundError, match=r"gone\.safetensors"):
        find_vector("gone.safetensors")


# What is refused

HOSTILE = [
    "__import__('os').system('touch owned')",
    "().__class__.__bases__[0].__subclasses__()",
    "add(cheese, __import__('os').getpid())",
    "add(cheese.__class__, 1)",
    "add(*[cheese, 1])",
    "add(**{'vector': cheese})",
    "add((lambda: cheese)(), 1)",
    "add([x for x in (1,)][0], 1)",
    "add(cheese, 10**10**10)",
    "add(cheese, 1 if True else 2)",
    "add(cheese, f'{1}')",
    "add(cheese, b'1')",
    "add(cheese, 1j)",
    "add(cheese, --1)",
    "add(cheese, {1: 2})",
    "add(cheese, ...)",
    "add(cheese, (y := 1))",
    "add(cheese, 1); add(cheese, 1)",
    "add(eval('1'), 1)",
    "eval('1')",
    "add",
    "add(cheese, -1.0",
    "",
    ":",
    "add(cheese, 'x\0y')",
    "\ud800",
    "zero(channel=" + "9" * 5000 + ")",
    "zero(" + "(" * 1900 + ")" * 1900 + ")",
    "add(" + "shuffled(" * 400 + "cheese" + ")" * 400 + ", 1)" + " " * 10**5,
    "clamp(value=1e999)",
    "clamp(value=-1e999)",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:40].encode("ascii", "replace").decode())
def test_nothing_in_a_text_is_run(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    list_edits()  # whatever is imported is imported now
    monkeypatch.chdir(tmp_path)

    def forbidden(*arguments: object, **named: object) -> None:
        raise AssertionError(f"called with {arguments}")

    for module, name in ((builtins, "eval"), (builtins, "exec"), (os, "system"), (os, "getpid")):
        monkeypatch.setattr(module, name, forbidden)
    with pytest.raises(ValueError, match=r"."):
        parse_edit(text)
    assert not list(tmp_path.iterdir())


@given(text=st.text(alphabet=st.sampled_from("abcdez_r(),.=:'\"[]{}*-+1290 \n"), max_size=60) | st.text(max_size=30))
def test_any_text_is_an_edit_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError, FileNotFoundError):
        assert format_edit(parse_edit(text.replace(":", "")))  # modules are imported; that is another test


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ad(cheese, 1)", r"unknown edit 'ad'; nearest: add,"),
        ("add(chese, 1)", r"unknown vector 'chese'; nearest: cheese,"),
        ("add(zero(), 1)", r"unknown vector 'zero'"),
        ("cheese()", r"unknown edit 'cheese'"),
        ("zero(chanel=5)", r"zero has no parameter 'chanel'; nearest: channel,"),
        ("add(cheese)", r"add needs coefficient \(a number\)"),
        ("add(cheese, 1, 2, 3)", r"add takes 3 values without a name \(vector, coefficient, layer\), not 4"),
        ("zero(5)", r"zero takes 0 values without a name"),
        ("add(cheese, 1, vector=cheese)", "add got vector twice"),
        ("add(cheese, 'much')", r"add: coefficient must be a number; got 'much'"),
        ("add(cheese, True)", r"coefficient must be a number; got True"),
        (
            "zero(channel=-1)",
            r"channel must be a whole number ≥ 0 or several \(a whole number ≥ 0, …\) or None; got -1",
        ),
        ("zero(channel=1.5)", r"got 1\.5"),
        ("zero(at=(1, 2, 3))", r"at must be \(a whole number ≥ 0, a whole number ≥ 0\) or None; got \(1, 2, 3\)"),
        ("zero(channel=cheese)", r"channel must be .*; got Cheese\(\)"),
        ("add(5, 1)", r"vector must be a vector: a name \(cheese, top_right, …\).*; got 5"),
        ("shuffled(cheese)", "unknown edit 'shuffled'"),
        ("add(shuffled, 1)", r"shuffled needs of \(a vector computed for each level"),
        ("add(cheese, 1, layer=embedder.fc_out)", r"'embedder.fc_out' is neither a number, a 'quoted' text"),
        ("zero(at=(1, 2), cell=(3, 4))", r"at=\(1, 2\) or cell=\(3, 4\), not both"),
    ],
)
def test_messages_say_what_would_do(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_edit(text)


# Listing


def test_edits_are_listed_with_their_parameters() -> None:
    listed = {entry.name: entry for entry in list_edits()}
    assert set(listed) >= {"add", "clamp", "mean", "patch", "project", "resample", "scale", "zero"}
    assert {entry.name for entry in list_vectors()} >= {
        "cheese",
        "top_right",
        "shuffled",
        "random",
        "matched",
        "another",
    }
    assert not {entry.name for entry in list_vectors()} & set(listed)
    add = {parameter.name: parameter for parameter in listed["add"].parameters}
    assert list(add) == ["vector", "coefficient", "layer"]
    assert (add["coefficient"].type, add["coefficient"].required) == ("a number", True)
    assert add["coefficient"].range == Range(-5, 5, soft=True)
    assert add["coefficient"].doc == "what to multiply it by."
    assert listed["zero"].parameters[-1].default == DEFAULT_LAYER
    for entry in [*list_edits(), *list_vectors()]:
        assert entry.summary.endswith((".", ":"))
        for parameter in entry.parameters:
            assert parameter.doc, f"{entry.name} does not say what {parameter.name} is"


# One's own


@dataclass(frozen=True)
class Tilt:
    """Tilts.

    Attributes:
        by: how far.
        side: which way.
    """

    by: Annotated[float, Range(0, 1)]
    side: Literal["left", "right"] = "left"
    layer: str = DEFAULT_LAYER

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        return activation


OWN_MODULE = '''
from dataclasses import dataclass

@dataclass(frozen=True)
class Dampen:
    """Weakens a channel."""

    channel: int
    layer: str = "embedder.fc_out"

    def apply(self, activation, context):
        return activation

class Plain:
    pass
'''


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets, after the test, what it registers and imports."""
    list_edits()
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("my_edits_of_a_test", None)


@pytest.mark.usefixtures("own_names")
def test_registered_by_decorator() -> None:
    assert register("tilt")(Tilt) is Tilt
    assert parse_edit("tilt(0.5, side='right')") == Tilt(0.5, "right")
    assert format_edit(Tilt(0.5, "right")) == "tilt(by=0.5, side='right')"
    (entry,) = (entry for entry in list_edits() if entry.name == "tilt")
    assert [(parameter.type, parameter.doc) for parameter in entry.parameters[:2]] == [
        ("a number ≥ 0 and ≤ 1", "how far."),
        ("one of 'left', 'right'", "which way."),
    ]
    with pytest.raises(ValueError, match=r"tilt: by must be a number ≥ 0 and ≤ 1; got 1\.5"):
        parse_edit("tilt(1.5)")
    with pytest.raises(ValueError, match=r"side must be one of 'left', 'right'; got 'up'"):
        parse_edit("tilt(1, 'up')")


@pytest.mark.usefixtures("own_names")
def test_names_belong_to_one_class() -> None:
    register("tilt")(Tilt)
    again = dataclass(frozen=True)(type("Tilt", (Tilt,), {"__module__": Tilt.__module__, "__qualname__": "Tilt"}))
    register("tilt")(again)  # as when a notebook's cell is run again
    assert type(parse_edit("tilt(1)")) is again
    with pytest.raises(ValueError, match=r"'zero' is the name of mazeinterp\.edits\.ablations\.Zero"):
        register("zero")(Tilt)
    with pytest.raises(ValueError, match="'my edit' is not"):
        register("my edit")
    with pytest.raises(TypeError, match="'int' is no edit"):
        register("whole")(int)
    with pytest.raises(TypeError, match=r"'Range' is no edit: it needs a field `layer` and `apply"):
        register("range_")(Range)


@pytest.mark.usefixtures("own_names")
def test_registered_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def points(group: str) -> list[EntryPoint]:
        return [EntryPoint("tilted", f"{__name__}:Tilt", group)]

    monkeypatch.setattr(registry, "entry_points", points)
    assert parse_edit("tilted(by=1)") == Tilt(1.0)
    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("broken", "no_such_module:Tilt", group)])
    with pytest.raises(ValueError, match=r"the entry point broken = 'no_such_module:Tilt' gives no edit"):
        parse_edit("zero()")


@pytest.mark.usefixtures("own_names")
def test_named_by_module_and_attribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_edits_of_a_test.py").write_text(OWN_MODULE)
    monkeypatch.chdir(tmp_path)
    text = "my_edits_of_a_test:Dampen(channel=7)"
    edit = parse_edit(text)
    assert (edit.channel, edit.layer) == (7, "embedder.fc_out")  # type: ignore[attr-defined]
    assert format_edit(edit) == text
    for wrong, message in (
        ("my_edits_of_a_test:Damp()", "has no 'Damp'; nearest: Dampen"),
        ("my_edits_of_a_test:Plain()", r"'Plain' is no edit: it must be a @dataclass\(frozen=True\)"),
        ("my_edits_of_a_test:Dampen(channel='a')", "channel must be a whole number; got 'a'"),
        ("no_such_module_of_a_test:Dampen()", "no module 'no_such_module_of_a_test'"),
        ("os:system('true')", "is no edit"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_edit(wrong)
