"""What the explorer answers, against the library's own functions; what it refuses; what it says cannot be measured."""

import base64
import contextlib
import io
import json
import re
import runpy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mazeinterp.analysis import (
    decide,
    exact_outcomes,
    path_probabilities,
    sample_episodes,
    tabulate,
    vector_field,
    walk,
)
from mazeinterp.edits import Add, Range, edited, list_edits, list_vectors, parse_edit, record, register, registry
from mazeinterp.edits.edits import EditContext
from mazeinterp.edits.recipes import Cheese, Shuffled
from mazeinterp.edits.vectors import Recipe
from mazeinterp.explorer import Session, protocol, views
from mazeinterp.explorer.controls import make_edit
from mazeinterp.explorer.protocol import EditRequest, RequestError, State, read_request
from mazeinterp.maze import MOVES, Level, decision_square
from mazeinterp.policy import ImpalaPolicy, load_policy, save_policy

LAYER = "embedder.block2.res1.resadd_out"
SUBTRACT = {"name": "add", "parameters": {"vector": "cheese", "coefficient": -1.0}, "on": True}
LEVEL = next(  # a small one with a decision square, for few forward passes
    level for seed in range(100) if (level := Level.from_seed(seed, "easy")).maze_dim == 9 and decision_square(level)
)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


@pytest.fixture(scope="module")
def policy() -> ImpalaPolicy:
    return load_policy("rand_region_5")


@pytest.fixture
def registered() -> Iterator[None]:
    """Forgets what a test registers."""
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def state_of(level: Level, *edits: dict[str, Any], policy: str = "rand_region_5", **changes: Any) -> dict[str, Any]:
    """A level's state, its bits packed here by hand."""
    bits = "".join("1" if code == 1 else "0" for code in level.grid.ravel().tolist())
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    data = bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))
    return {
        "policy": policy,
        "mode": level.mode,
        "grid": base64.urlsafe_b64encode(data).decode(),
        "cheeses": [list(cheese) for cheese in level.cheeses],
        "mouse": list(level.mouse),
        "background": level.background,
        "reflected": level.reflected,
        "seed": level.seed,
        "maze_dim": level.maze_dim,
        "edits": list(edits),
    } | changes


def ask(session: Session, kind: str, **body: Any) -> list[dict[str, Any]]:
    """All messages of a reply, as they arrive: through JSON."""
    request = read_request(json.dumps({"id": 1, "kind": kind} | body))
    return [json.loads(protocol.write({"done": True} | part)) for part in session.answer(request) if part is not None]


def fields_in(parts: list[dict[str, Any]]) -> dict[str, dict[tuple[int, int], list[float]]]:
    """The moves of each field by square; each square comes once."""
    found: dict[str, dict[tuple[int, int], list[float]]] = {}
    for part in parts[:-1]:
        field = found.setdefault(part["which"], {})
        for square, moves in zip(part["squares"], part["moves"], strict=True):
            assert tuple(square) not in field
            field[tuple(square)] = moves
    return found


# What is answered


def test_level_comes_as_the_library_makes_it(session: Session) -> None:
    for seed, mode, region in ((0, "hard", None), (26, "hard", 5), (3, "easy", None)):
        (reply,) = ask(session, "level", seed=seed, mode=mode, cheese_region=region)
        level = Level.from_seed(seed, mode, region)
        expected = state_of(level)
        for name in ("mode", "cheeses", "mouse", "background", "reflected", "seed", "maze_dim"):
            assert reply[name] == expected[name]
        assert reply["grid"] == expected["grid"].rstrip("=")
        assert State.read(reply | {"policy": "", "edits": []}).level == level or region is not None


def test_random_level_has_the_wanted_size_and_a_held_out_seed(session: Session) -> None:
    (reply,) = ask(session, "level", seed=None, mode="hard", maze_dim=25)
    assert Level.from_seed(reply["seed"]).maze_dim == reply["maze_dim"] == 25
    assert reply["seed"] < 501_000
    (first,) = ask(session, "level", seed=7, mode="easy", maze_dim=11)
    assert first["seed"] == next(seed for seed in range(7, 1000) if Level.from_seed(seed, "easy").maze_dim == 11)


def test_state_knows_whether_its_level_was_edited() -> None:
    level = Level.from_seed(5)
    assert State.read(state_of(level)).level == level
    wall = next(iter(np.argwhere(level.grid == 1)[:, ::-1].tolist()))
    painted = level.without_walls([tuple(wall)])
    assert State.read(state_of(painted)).level == painted
    own = Level(level.grid, level.mouse)
    assert State.read(state_of(own)).level == own


@pytest.mark.parametrize("reflected", [False, True])
def test_field_is_the_librarys(session: Session, policy: ImpalaPolicy, reflected: bool) -> None:
    level = LEVEL.with_reflected(reflected) if reflected else LEVEL
    parts = ask(session, "field", state=state_of(level, SUBTRACT))
    found = fields_in(parts)
    for which, each in (("before", policy), ("after", edited(policy, Add(Cheese(), -1.0)))):
        expected = vector_field(each, level, reflected=reflected)
        free = [(x, y) for y, x in np.argwhere(level.grid == 0).tolist()]
        assert sorted(found[which]) == sorted(free)
        for (x, y), moves in found[which].items():
            np.testing.assert_allclose(moves, expected.moves[y, x], atol=2e-4)
    assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1]["precision"] == "float32"
    if not reflected:
        row = decide(policy, level).iloc[0]
        for name in ("p_cheese_move", "p_corner_move"):
            assert parts[-1]["decision"]["before"][name] == pytest.approx(row[name], abs=2e-4)


def test_nearest_squares_come_first_of_both_fields(session: Session) -> None:
    level = Level.from_seed(next(seed for seed in range(100) if Level.from_seed(seed).maze_dim == 15))
    parts = ask(Session(), "field", state=state_of(level, SUBTRACT))
    assert [part["which"] for part in parts[:2]] == ["before", "after"]
    assert len(parts[0]["squares"]) == len(parts[1]["squares"]) == 4 * torch.get_num_threads()
    steps = {level.mouse: 0}
    queue = [level.mouse]
    for x, y in queue:
        for there in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            inside = all(0 <= part < level.world for part in there)
            if inside and level.grid[there[1], there[0]] != 1 and there not in steps:
                steps[there] = steps[x, y] + 1
                queue.append(there)
    for which in ("before", "after"):
        order = [steps[x, y] for part in parts[:-1] if part["which"] == which for x, y in part["squares"]]
        assert order == sorted(order)


def test_only_what_is_new_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    session, seen = Session(), []
    forward = ImpalaPolicy.forward

    def counting(self: ImpalaPolicy, obs: Any, **rest: Any) -> Any:
        seen.append(len(obs))
        return forward(self, obs, **rest)

    monkeypatch.setattr(ImpalaPolicy, "forward", counting)
    free = int((LEVEL.grid == 0).sum())

    def asked(kind: str, level: Level, *edits: dict[str, Any], **body: Any) -> int:
        seen.clear()
        ask(session, kind, state=state_of(level, *edits), **body)
        return sum(seen)

    assert asked("field", LEVEL) == free
    assert asked("field", LEVEL) == 0
    elsewhere = next(tuple(square[::-1]) for square in np.argwhere(LEVEL.grid == 0)[3:].tolist())
    assert asked("field", LEVEL.with_mouse(elsewhere)) == 0  # the arrows do not depend on where the mouse stands
    assert asked("outcome", LEVEL) == free  # the other facing
    assert asked("paths", LEVEL) == asked("episode", LEVEL, edited=False, greedy=False, seed=0) == 0
    off = SUBTRACT | {"on": False}
    assert asked("field", LEVEL, off) == 0
    assert asked("field", LEVEL, SUBTRACT, which=["after"]) == free + 3  # a pass to try it, two for the vector
    assert len(ask(session, "field", state=state_of(LEVEL))) == 2  # known: one part, and the last message
    # Left in the middle, what was computed is kept.
    moved = LEVEL.with_cheese(elsewhere)
    request = read_request(json.dumps({"id": 1, "kind": "field", "state": state_of(moved)}))
    steps = session.answer(request)
    first = next(steps)
    assert first is not None
    assert asked("field", moved) == free - len(first["squares"])


def test_outcome_paths_and_data_are_the_librarys(session: Session, policy: ImpalaPolicy) -> None:
    state = state_of(LEVEL, SUBTRACT)
    (outcome,), (paths,), (data,) = (ask(session, kind, state=state) for kind in ("outcome", "paths", "data"))
    tables = []
    for which, each in (("before", policy), ("after", edited(policy, Add(Cheese(), -1.0)))):
        table = tabulate(each, LEVEL)
        tables.append(table.to_frame())
        row = exact_outcomes(table).iloc[0]
        for name in ("p_cheese", "p_corner_first", "expected_steps"):
            assert outcome[which][name] == pytest.approx(row[name], rel=1e-3)
        chances = path_probabilities(vector_field(each, LEVEL))
        assert len(paths[which]) == np.isfinite(chances).sum()
        for x, y, chance in paths[which]:
            assert chance == pytest.approx(chances[y, x], abs=1e-3)
    frame = pd.read_csv(io.StringIO(data["csv"]))
    assert frame["which"].unique().tolist() == ["before", "after"]
    assert frame["policy"].unique().tolist() == ["rand_region_5", "rand_region_5 + add(cheese, -1.0)"]
    expected = pd.concat(tables, ignore_index=True)
    pd.testing.assert_frame_equal(frame[list(expected)], expected, check_dtype=False, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("greedy", [False, True])
def test_episode_is_the_one_that_walk_plays(session: Session, policy: ImpalaPolicy, greedy: bool) -> None:
    for level, seed in ((LEVEL, 3), (LEVEL.with_reflected(True), 4)):
        (reply,) = ask(session, "episode", state=state_of(level), edited=False, greedy=greedy, seed=seed)
        played = walk(policy, level, seed=seed, greedy=greedy)
        assert [tuple(square) for square in reply["squares"]] == list(played.squares)
        assert reply["found"] == played.found
        assert reply["moves"] == [MOVES[move] for move in played.moves]
        table = tabulate(policy, level)
        counted = sample_episodes(table.greedy() if greedy else table, seed=seed).iloc[0]
        assert (len(reply["moves"]), reply["found"]) == (counted["steps"], counted["found"])
        facing = level.reflected
        for move, shown in zip(reply["moves"], reply["reflected"][1:], strict=True):
            facing = {"left": False, "right": True}.get(move, facing)
            assert shown == facing


def test_maps_of_a_layer_are_its_activations(session: Session, policy: ImpalaPolicy) -> None:
    for edit_on, each in ((False, policy), (True, edited(policy, Add(Cheese(), -1.0)))):
        *_, reply = ask(session, "layer", state=state_of(LEVEL, SUBTRACT), layer=LAYER, edited=edit_on)
        expected = record(each, LEVEL, LAYER)[LAYER][0].numpy()
        low, high = (np.array(reply[name])[:, None, None] for name in ("minimum", "maximum"))
        maps = np.frombuffer(base64.b64decode(reply["maps"]), np.uint8).reshape(reply["shape"])
        np.testing.assert_allclose(low + maps / 255 * (high - low), expected, atol=float((high - low).max()) / 509)
    for x, y in ((0, 0), (7, 3), (14, 14)):
        clamped = edited(policy, parse_edit(f"clamp(channel=0, at=({x}, {y}), value=1000)"))
        row, column = reply["rows"][y], reply["columns"][x]
        assert record(clamped, LEVEL, LAYER)[LAYER][0, 0, row, column] == 1000


def test_channels_are_ranked_by_probe_and_features_by_size(session: Session) -> None:
    state = state_of(LEVEL)
    first, second = ask(Session(), "layer", state=state, layer=LAYER, edited=False)
    assert first["order_name"].startswith("activation range")
    spread = np.array(first["maximum"]) - np.array(first["minimum"])
    assert first["order"] == np.argsort(-spread, kind="stable").tolist()
    assert second["order_name"].startswith("probe")
    assert sorted(second["order"]) == list(range(32))
    ranked = [second["scores"][channel] for channel in second["order"]]
    assert ranked == sorted(ranked, reverse=True)
    assert 0.3 < ranked[0] <= 1
    (features,) = ask(session, "layer", state=state, layer="embedder.relufc_out", edited=False)
    assert features["shape"] == [256, 1, 1]
    assert features["maximum"][features["order"][0]] == max(features["maximum"])


@pytest.mark.parametrize("edits", [(), (SUBTRACT, SUBTRACT | {"on": False}), (SUBTRACT,) * 2])
def test_script_makes_the_view(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, edits: tuple[dict[str, Any], ...]
) -> None:
    level = LEVEL.with_cheese(next(tuple(s[::-1]) for s in np.argwhere(LEVEL.grid == 0)[4:].tolist()))
    state = state_of(level if edits else LEVEL, *edits)
    (reply,) = ask(session, "python", state=state)
    (tmp_path / "view.py").write_text(reply["code"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.rcParams", __import__("matplotlib").rcParams | {"backend": "agg"})
    made = runpy.run_path(str(tmp_path / "view.py"), run_name="__main__")
    assert (tmp_path / "explorer.png").stat().st_size > 10_000
    *parts, last = ask(session, "field", state=state)
    fields = made["fields"] if edits else [made["field"]]
    for field, moves in zip(fields, fields_in([*parts, last]).values(), strict=True):
        for (x, y), shown in moves.items():
            np.testing.assert_allclose(shown, field.moves[y, x], atol=2e-4)
    (outcome,) = ask(session, "outcome", state=state)
    printed = [float(word) for word in re.findall(r"\d+\.\d+(?:e-?\d+)?", capsys.readouterr().out)]
    for which in ("before", "after")[: len(fields)]:
        assert any(number == pytest.approx(outcome[which]["expected_steps"], rel=1e-4) for number in printed)


def test_script_of_users_edits_imports_them_or_says_what_to_copy(session: Session, registered: None) -> None:
    register("mine")(_Mine)
    asked = {"name": "mine", "parameters": {}, "on": True}
    (reply,) = ask(session, "python", state=state_of(LEVEL, asked))
    assert f"import {_Mine.__module__}" in reply["code"]
    try:
        _Mine.__module__, module = "__main__", _Mine.__module__
        (reply,) = ask(session, "python", state=state_of(LEVEL, asked))
        assert "Copy the definition of _Mine" in reply["code"]
    finally:
        _Mine.__module__ = module


def test_wide_networks_may_be_rounded_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_policy(ImpalaPolicy(2, seed=3), tmp_path / "wide", {})
    monkeypatch.setattr(views, "rounding_pays", lambda width: width == 2)
    session = Session(tmp_path / "wide")
    state = state_of(LEVEL, policy="wide")
    *parts, last = ask(session, "field", state=state)
    assert last["precision"] == "bfloat16"
    exact = vector_field(load_policy(tmp_path / "wide"), LEVEL)
    shown = fields_in([*parts, last])["before"]
    errors = [np.abs(moves - exact.moves[y, x]).max() for (x, y), moves in shown.items()]
    assert 0 < max(errors) < 0.05
    assert next(p for p in ask(session, "catalogue")[0]["policies"] if p["name"] == "wide")["precision"] == "bfloat16"
    (data,) = ask(session, "data", state=state)
    assert data["precision"] == "float32"
    frame = pd.read_csv(io.StringIO(data["csv"]))
    np.testing.assert_allclose(frame["value"], tabulate(load_policy(tmp_path / "wide"), LEVEL).value.ravel(), rtol=1e-3)


# What cannot be measured


def _unreachable() -> Level:
    x, y = LEVEL.mouse
    around = [(x + dx, y + dy) for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return LEVEL.with_walls([square for square in around if LEVEL.grid[square[1], square[0]] == 0])


CORNER = (LEVEL.to_world((8, 8)), LEVEL.to_world((0, 0)))
WALL = tuple(np.argwhere(LEVEL.grid == 1)[0, ::-1].tolist())


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (state_of(LEVEL.without_cheese()), {"maze": "no cheese", "outcome": "no cheese"}),
        (state_of(LEVEL, cheeses=[list(CORNER[0]), [7, 7]]), {"maze": "2 cheeses", "outcome": "2 cheeses"}),
        (state_of(LEVEL, cheeses=[list(CORNER[0])]), {"maze": "no decision square", "outcome": "lies on the corner"}),
        (
            state_of(LEVEL, mouse=list(LEVEL.cheeses[0])),
            {"maze": "stands on a cheese", "outcome": "stands on a cheese"},
        ),
        (state_of(LEVEL, mouse=list(WALL)), {"maze": "in a wall", "outcome": "in a wall", "paths": "in a wall"}),
        (state_of(_unreachable()), {"maze": "No path leads from the mouse to the cheese"}),
        (state_of(LEVEL, reflected=True), {"field": "reflected mouse"}),
        (
            state_of(LEVEL, grid=base64.urlsafe_b64encode(b"\xff" * 29).decode(), cheeses=[]),
            {
                "maze": "no open square",
                "field": "no open square",
                "outcome": "no open square",
                "paths": "no open square",
            },
        ),
    ],
)
def test_what_cannot_be_measured_is_said(session: Session, state: dict[str, Any], said: dict[str, str]) -> None:
    for kind in ("maze", "field", "paths", "outcome"):
        *_, last = ask(session, kind, state=state)
        assert last.get("done", True)
        if kind in said:
            assert any(said[kind] in note for note in last["notes"]), (kind, last["notes"])
        for note in last["notes"]:
            assert note.endswith((".", "?"))


def test_mouse_in_a_wall_leaves_the_arrows(session: Session) -> None:
    parts = ask(session, "field", state=state_of(LEVEL, mouse=list(WALL)))
    assert fields_in(parts) == fields_in(ask(session, "field", state=state_of(LEVEL)))


def test_broken_edits_leave_the_unedited_view(session: Session, registered: None) -> None:
    register("broken")(_Broken)
    register("noisy")(_Noisy)
    for i, (asked, said) in enumerate(
        [
            ({"name": "clamp", "parameters": {"channel": 99, "value": 1.0}}, "channels 0 to 31"),
            ({"name": "clamp", "parameters": {"channel": 1}}, "needs value"),
            ({"name": "clamp", "parameters": {"channel": -1, "value": 1.0}}, "≥ 0"),
            ({"name": "clamp", "parameters": {"channel": True, "value": 1.0}}, "channel"),
            ({"name": "clamp", "parameters": {"value": "1"}}, "a number"),
            ({"name": "clamp", "parameters": {"value": 1, "layer": "nowhere"}}, "unknown layer"),
            ({"name": "zero", "parameters": {"chanel": 1}}, "no parameter 'chanel'"),
            ({"name": "os:system", "parameters": {}}, "only registered"),
            ({"name": "mazeinterp.edits.ablations:Zero", "parameters": {}}, "only registered"),
            ({"name": "add", "parameters": {"vector": "/etc/passwd.safetensors", "coefficient": 1}}, "unknown vector"),
            ({"name": "add", "parameters": {"vector": {"name": "os:x", "parameters": {}}, "coefficient": 1}}, "os:x"),
            ({"name": "add", "parameters": {"vector": 3, "coefficient": 1}}, "registered vector"),
            ({"name": "add", "parameters": {"vector": "shuffled", "coefficient": 1}}, "needs of"),
            ({"name": "resample", "parameters": {"reference": "rm"}}, "two seeds"),
            ({"name": "broken", "parameters": {}}, "ZeroDivisionError"),
            ({"name": "noisy", "parameters": {}}, "stochastic"),
        ]
    ):
        state = state_of(LEVEL, *[SUBTRACT] * (i % 3), asked | {"on": True})
        *parts, last = ask(session, "field", state=state)
        assert set(fields_in([*parts, last])) == {"before"}
        assert said in last["edit_error"]["error"]
        if asked["name"] != "noisy":
            assert last["edit_error"]["edit"] == i % 3
            with pytest.raises(RequestError, match=f"edit {i % 3 + 1}"):
                ask(session, "layer", state=state, layer=LAYER, edited=True)
    (reply,) = ask(session, "episode", state=state, edited=True, greedy=False, seed=0)  # the noisy one
    assert reply["squares"][0] == list(LEVEL.mouse)
    (maze,) = ask(session, "maze", state=state_of(LEVEL, SUBTRACT, {"name": "nope", "parameters": {}, "on": False}))
    assert maze["edits"][0] == {"text": "add(cheese, -1.0)", "error": None}
    assert "unknown edit 'nope'" in maze["edits"][1]["error"]


# What is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[]", "an object"),
        ("{" * 5000, "no JSON"),
        ('{"id": 1, "kind": "field", "state": NaN}', "NaN"),
        ('{"id": 1, "kind": "field", "state": 1e999}', "no number"),
        ('{"id": 1, "kind": "eval"}', "unknown kind"),
        ('{"id": true, "kind": "field"}', "id must be a whole number"),
        ('{"id": 1, "kind": "field", "a": [[[[[[[[[]]]]]]]]]}', "deep"),
        ('{"id": 1, "kind": "field", "a": "' + "x" * 65536 + '"}', "65536 bytes"),
        (b'{"id": 1, "kind": "field", "a": "\xff"}', "no JSON"),
    ],
)
def test_requests_that_are_none(text: str | bytes, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        read_request(text)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policy": "../secret"}, "unknown policy"),
        ({"mode": "huge"}, "mode"),
        ({"grid": "abc"}, "grid"),
        ({"grid": "!!"}, "base64url"),
        ({"cheeses": [[0]]}, "a cheese is a square"),
        ({"mouse": [99, 0]}, "outside"),
        ({"mouse": [0.5, 0]}, "whole numbers"),
        ({"mouse": None}, "the mouse"),
        ({"background": 9}, "0 to 8"),
        ({"reflected": 1}, "true or false"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**80}, "seed"),
        ({"maze_dim": 4}, "odd"),
        ({"edits": [SUBTRACT] * 17}, "16 at most"),
        ({"edits": ["add(cheese, 1)"]}, "edit 1"),
        ({"edits": [{"name": "add", "parameters": [], "on": True}]}, "edit 1"),
    ],
)
def test_states_that_are_none(session: Session, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        ask(session, "field", state=state_of(LEVEL) | changes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
GOOD = state_of(LEVEL, {"name": "add", "parameters": {"vector": "cheese", "coefficient": -1.0}, "on": True})


@settings(max_examples=150)
@given(
    st.sampled_from([kind for kind in protocol.KINDS if kind != "data"]),
    st.dictionaries(st.sampled_from([*GOOD, "edits"]), JSON, max_size=2),
    st.dictionaries(st.sampled_from(["seed", "mode", "layer", "edited", "greedy", "which", "maze_dim"]), JSON),
)
def test_any_request_is_answered_or_refused(kind: str, changes: dict[str, Any], body: dict[str, Any]) -> None:
    request = protocol.checked_request({"id": 1, "kind": kind, "state": GOOD | changes} | body)
    with contextlib.suppress(RequestError):
        for part in _SHARED.answer(request):
            protocol.write(part or {})


_SHARED = Session()


# The controls


def test_every_registered_edit_has_controls(session: Session) -> None:
    (catalogue,) = ask(session, "catalogue")
    assert [edit["name"] for edit in catalogue["edits"]] == [entry.name for entry in list_edits()]
    assert [vector["name"] for vector in catalogue["vectors"]] == [entry.name for entry in list_vectors()]
    for edit in catalogue["edits"]:
        for parameter in edit["parameters"]:
            assert parameter["type"] != "unsupported"
            assert parameter["doc"]
        start = {p["name"]: p["initial"] for p in edit["parameters"] if p["required"]}
        make_edit(EditRequest(edit["name"], start, True))  # what the controls start from is an edit
    by_name = {edit["name"]: {p["name"]: p for p in edit["parameters"]} for edit in catalogue["edits"]}
    types = {name: by_name["clamp"][name]["type"] for name in by_name["clamp"]}
    assert types == {"channel": "channels", "at": "square", "cell": "cell", "layer": "layer", "value": "float"}
    assert by_name["clamp"]["channel"]["optional"]
    assert by_name["clamp"]["channel"]["low"] == 0
    coefficient = by_name["add"]["coefficient"]
    assert (coefficient["low"], coefficient["high"], coefficient["soft"]) == (-5, 5, True)
    assert by_name["add"]["vector"]["type"] == by_name["patch"]["source"]["type"] == "vector"
    assert by_name["mean"]["reference"]["type"] == "seeds"
    assert by_name["mean"]["reference"]["default"] == [500_000, 500_128]
    for preset in catalogue["presets"]:
        make_edit(EditRequest(**preset["edit"], on=True))
    layers = {layer["name"]: layer["shape"] for layer in catalogue["layers"]["rand_region_5"]}
    assert layers[LAYER] == [32, 16, 16]
    assert list(layers) == list(ImpalaPolicy.layers)


def test_users_edits_have_controls_too(session: Session, registered: None) -> None:
    register("mine")(_Mine)
    (catalogue,) = ask(session, "catalogue")
    mine = next(edit for edit in catalogue["edits"] if edit["name"] == "mine")
    found = {parameter["name"]: parameter for parameter in mine["parameters"]}
    assert found["how"]["type"] == "choice"
    assert found["how"]["choices"] == ["up", "down"]
    assert (found["factor"]["low"], found["factor"]["high"], found["factor"]["soft"]) == (0, 1, False)
    assert found["switch"]["type"] == "bool"
    assert (found["strange"]["type"], found["strange"]["default"]) == ("unsupported", None)
    assert found["vector"]["type"] == "vector"
    vector = found["vector"]["default"]
    assert vector == {"name": "shuffled", "parameters": {"of": {"name": "cheese", "parameters": {}}, "seed": 4}}
    assert make_edit(EditRequest("mine", {"vector": vector}, True)) == _Mine()
    assert found["factor"]["doc"] == "what to multiply by."
    with pytest.raises(RequestError, match="factor must be"):
        make_edit(EditRequest("mine", {"factor": 2.0}, True))


@dataclass(frozen=True)
class _Mine:
    """Multiplies.

    Attributes:
        factor: what to multiply by.
    """

    factor: Annotated[float, Range(0, 1)] = 0.5
    how: Literal["up", "down"] = "up"
    switch: bool = False
    strange: complex = 0j
    vector: Annotated[Recipe, "a vector"] = Shuffled(Cheese(), seed=4)  # noqa: RUF009  # a frozen value
    layer: str = LAYER

    def apply(self, activation: torch.Tensor, context: EditContext) -> torch.Tensor:
        return activation * self.factor


@dataclass(frozen=True)
class _Broken:
    layer: str = LAYER

    def apply(self, activation: torch.Tensor, context: EditContext) -> torch.Tensor:
        raise ZeroDivisionError("as users' edits may")


@dataclass(frozen=True)
class _Noisy:
    stochastic = True
    layer: str = LAYER

    def apply(self, activation: torch.Tensor, context: EditContext) -> torch.Tensor:
        return activation + 0.01 * torch.randn(activation.shape, generator=context.generator)
