"""The commands: what each prints and makes, beside what the library gives for the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mazeinterp.analysis import (
    compare_conditions,
    compare_fields,
    edit_conditions,
    path_probabilities,
    run_experiment,
    total_variation,
    vector_field,
    walk,
)
from mazeinterp.analysis.experiments import MEASURES
from mazeinterp.cli import main
from mazeinterp.commands.options import read_level, read_levels
from mazeinterp.edits import (
    Add,
    Cheese,
    Zero,
    cheese_vector,
    controls_of,
    difference,
    edited,
    load_vector,
    parse_edit,
    top_right_vector,
)
from mazeinterp.maze import Level, Levels, decision_square
from mazeinterp.policy import ImpalaPolicy, list_policies, load_policy, save_policy

Call = Callable[..., dict[str, Any]]

SMALL = tuple(np.flatnonzero(Levels.from_seeds(range(100), "easy").maze_dim == 3)[:3].tolist())
"""Seeds of "easy" mazes that cost next to nothing."""


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ImpalaPolicy:
    """An untrained network, in the checkpoint folder `fresh` of the current folder."""
    monkeypatch.chdir(tmp_path)
    save_policy(ImpalaPolicy(seed=0), tmp_path / "fresh", {"cheese_region": 5})
    return load_policy("fresh")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `mazeinterp WORDS --format json`, and gives what it prints: one JSON document and nothing else."""

    def run(*words: str) -> dict[str, Any]:
        monkeypatch.setattr("sys.argv", ["mazeinterp", *words, "--format", "json"])
        main()
        said: dict[str, Any] = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert list(said) == ["command", "arguments", "tables", "files"]
        assert " ".join(words).startswith(said["command"])
        assert all(Path(file).exists() for file in said["files"])
        return said

    return run


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A table as the JSON document has it."""
    return [
        {name: None if pd.isna(value) else value for name, value in row.items()} for row in frame.to_dict("records")
    ]


def picture(said: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The data and the record of the picture that a command made, which is there."""
    (file,) = (Path(file) for file in said["files"] if file.endswith(".png"))
    assert file.parent == Path("out")
    assert file.stat().st_size > 5_000
    return pd.read_parquet(file.with_suffix(".parquet")), json.loads(file.with_suffix(".json").read_text())["arguments"]


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("3", Levels.from_seeds([0, 1, 2])),
        ("1_0", Levels.from_seeds(range(10))),
        ("5:7", Levels.from_seeds([5, 6])),
        ("9,2", Levels.from_seeds([9, 2])),
        ("2@easy", Levels.from_seeds([0, 1], "easy")),
        ("2@easy@region=3", Levels.from_seeds([0, 1], "easy", 3)),
        ("2@no-cheese", Levels.from_seeds([0, 1]).without_cheese()),
    ],
)
def test_levels_in_text(text: str, levels: Levels) -> None:
    assert list(read_levels(text)) == list(levels)


def test_a_level_in_text_and_in_a_file(tmp_path: Path) -> None:
    assert read_level("7") == Level.from_seed(7)
    assert read_level("7@easy@region=0") == Level.from_seed(7, "easy", 0)
    mine = Level.from_seed(7).without_walls([(24, 24)])
    (tmp_path / "mine.txt").write_text(f"{mine}\n")
    assert read_level("mine.txt") == mine
    assert read_level("mine.txt@no-cheese") == mine.without_cheese()
    (tmp_path / "both.txt").write_text(f"\n{mine}\n\n\n{Level.from_seed(1)}\n")
    assert list(read_levels("both.txt")) == [mine, Level.from_seed(1)]


def test_field_is_the_librarys(call: Call, network: ImpalaPolicy) -> None:
    said = call(
        "field", "--policy", "fresh", "--level", "26", "--edit", "add(cheese, -1.0)", "--edit", "zero(channel=2)"
    )
    level, changed = Level.from_seed(26), edited(network, Add(Cheese(), -1.0), Zero(channel=2))
    before, after = vector_field(network, level), vector_field(changed, level)
    found = {(row["policy"], row["measure"]): row["value"] for row in said["tables"]["measures"]}
    assert {name for name, _ in found} == {"fresh", changed.name}
    decision, (x, y) = decision_square(level), level.cheeses[0]
    assert decision is not None
    for name, one in (("fresh", before), (changed.name, after)):
        at = one.moves[decision.square[::-1]]
        assert found[name, "p_cheese_move"] == pytest.approx(at[decision.cheese_move])
        assert found[name, "p_corner_move"] == pytest.approx(at[decision.corner_move])
        assert found[name, "path_to_cheese"] == pytest.approx(path_probabilities(one)[y, x])
        assert found[name, "value"] == pytest.approx(one.value[level.mouse[::-1]])
    change = np.nanmean(total_variation(before, after))
    assert found[changed.name, "total_variation"] == pytest.approx(change)
    assert ("fresh", "total_variation") not in found
    data, record = picture(said)
    assert set(data["policy"]) == {"fresh", changed.name}
    assert record["hash"] == network.hash
    assert record["edit"] == ["add(cheese, -1.0)", "zero(channel=2)"]


def test_field_shows_any_maze_by_itself_in_either_facing(call: Call, network: ImpalaPolicy) -> None:
    said = call("field", "--policy", "fresh", "--level", "26@no-cheese", "--reflected")
    field = vector_field(network, Level.from_seed(26).without_cheese(), reflected=True)
    assert said["tables"]["measures"] == rows(compare_fields({"fresh": field}))
    assert {row["measure"] for row in said["tables"]["measures"]} == {"path_to_corner", "value"}
    assert set(picture(said)[0]["reflected"]) == {True}


def test_outcomes_are_the_experiments(call: Call, network: ImpalaPolicy) -> None:
    few = ",".join(map(str, SMALL))
    words = (
        "outcomes",
        "--policy",
        "fresh",
        "--edit",
        "add(cheese, -1.0)",
        "--levels",
        f"{few}@easy",
        "--from-dim",
        "3",
    )
    words = (*words, "--episodes", "2", "--seed", "4")
    said = call(*words)
    kept = sorted(Path("out", "experiments").iterdir())
    conditions = edit_conditions(network, [Add(Cheese(), -1.0)], seed=4)
    names = ["unedited", "no cheese", "edited"]
    assert list(conditions) == names + [f"edited, {kind} vector" for kind in ("shuffled", "random", "another maze's")]
    direct = run_experiment(
        conditions,
        Levels.from_seeds(SMALL, "easy"),
        exact_levels=len(SMALL),
        episodes=2,
        seed=4,
        folder=Path("out", "experiments"),
    )
    assert sorted(Path("out", "experiments").iterdir()) == kept  # the same experiment: it is not measured twice
    assert len(kept) == 1
    compared = compare_conditions(direct, MEASURES, from_dim=3, seed=4)
    assert said["tables"] == {"test": rows(compared)}
    data, record = picture(said)
    assert rows(data) == rows(compared)
    assert record["conditions"]["edited"]["edits"] == ["add(cheese, -1.0)"]


def test_outcomes_count_the_cost_in_training(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def few(n: int, cheese_region: int) -> Levels:
        asked.append((n, cheese_region))
        return Levels.from_seeds(SMALL[:2], "easy", cheese_region)

    monkeypatch.setattr("mazeinterp.analysis.evaluation.held_out", few)
    few_levels = ("--levels", f"{SMALL[0]},{SMALL[1]}@easy", "--from-dim", "0")
    said = call("outcomes", "--policy", "fresh", *few_levels, "--episodes", "1", "--training-levels", "2")
    assert asked == [(2, 5)]  # the region of its training
    assert list(said["tables"]) == ["test", "training"]
    assert {row["n"] for row in said["tables"]["training"] if row["measure"] == "p_cheese"} == {2}


def test_outcomes_go_without_edits_and_without_controls(call: Call) -> None:
    few = (
        "outcomes",
        "--policy",
        "fresh",
        "--levels",
        f"{SMALL[0]},{SMALL[1]}@easy",
        "--from-dim",
        "0",
        "--episodes",
        "1",
    )
    for words, names in (((), {"unedited", "no cheese"}), (("--no-controls",), {"unedited", "no cheese", "edited"})):
        edit = ("--edit", "add(cheese, -1.0)") if words else ()
        assert {row["condition"] for row in call(*few, *edit, *words)["tables"]["test"]} == names


def test_controls_take_every_vectors_place(network: ImpalaPolicy) -> None:
    vector = cheese_vector(network, Level.from_seed(0))
    edits = [parse_edit("add(cheese, -1.0)"), parse_edit("zero(channel=1)"), Add(vector, 2.0)]
    made = edit_conditions(network, edits, seed=3)
    assert list(made)[3:] == ["edited, shuffled vector", "edited, random vector"]  # one vector has no other maze's
    for kind in ("shuffled", "random"):
        first, second, third = made[f"edited, {kind} vector"].policy.edits
        assert first == Add(controls_of(Cheese(), 3)[kind], -1.0)
        assert second == edits[1]
        assert third == Add(controls_of(vector, 3)[kind], 2.0)


@pytest.mark.parametrize(
    ("words", "make"),
    [
        (("cheese",), lambda policy: cheese_vector(policy, Level.from_seed(0))),
        (("cheese", "--levels", "2:5"), lambda policy: cheese_vector(policy, Levels.from_seeds([2, 3, 4]))),
        (
            ("cheese", "--control", "shuffled", "--seed", "5"),
            lambda policy: cheese_vector(policy, Level.from_seed(0)).shuffled(5),
        ),
        (
            ("top-right", "--layer", "embedder.block1.res1.resadd_out"),
            lambda policy: top_right_vector(policy, Level.from_seed(0), "embedder.block1.res1.resadd_out"),
        ),
        (
            ("difference", "--plus", "2", "--minus", "1:3@no-cheese"),
            lambda policy: difference(policy, Levels.from_seeds([0, 1]), Levels.from_seeds([1, 2]).without_cheese()),
        ),
    ],
)
def test_a_vector_is_saved_and_can_be_added(words, make, call: Call, network: ImpalaPolicy) -> None:
    said = call("vector", *words, "--policy", "fresh")
    (row,), (file,) = said["tables"]["vector"], said["files"]
    vector, direct = load_vector(file), make(network)
    assert vector == direct
    assert row["norm"] == pytest.approx(direct.norm)
    assert (row["recipe"], row["layer"], row["checkpoint"]) == (direct.recipe, direct.layer, network.hash)
    added = parse_edit(row["edit"])
    assert added == Add(vector, -1.0)
    used = call("field", "--policy", "fresh", "--level", "26", "--edit", row["edit"])
    assert picture(used)[1]["edit"] == [row["edit"]]


SWEEPS = {
    "coefficients": (("--coefficient=-1", "--coefficient=2", "--vector", "top_right"), 2 + 4 * 2),
    "layers": (("--layer", "embedder.block1.maxpool_out", "--layer", "embedder.fc_out"), 2 + 2 * 2),
    "translation": (("--reach", "1"), 2 + 9),
    "average": (("--mazes", "1", "--mazes", "2", "--cheese-region", "5"), 2 + 2 * 2),
}
FEW = ("--policy", "fresh", "--levels", "9:20")


@pytest.mark.parametrize("kind", SWEEPS)
def test_a_sweep_has_its_points(kind: str, call: Call, network: ImpalaPolicy) -> None:
    words, points = SWEEPS[kind]
    said = call("sweep", kind, *words, *FEW)
    table = pd.DataFrame(said["tables"]["sweep"])
    assert len(table) == 2 * points
    assert set(table["measure"]) == {"p_cheese_move", "p_corner_move"}
    assert {"unedited", "no cheese"} < set(table["vector"])
    data, record = picture(said)
    assert len(data) == len(table)
    assert record["hash"] == network.hash


def test_a_sweep_of_coefficients_has_the_controls_of_a_file(call: Call, network: ImpalaPolicy) -> None:
    call("vector", "cheese", "--policy", "fresh", "--layer", "embedder.block1.maxpool_out")
    (file,) = Path("out").glob("*.safetensors")
    said = call("sweep", "coefficients", "--coefficient=-1", "--vector", str(file), *FEW)
    recipe = load_vector(file).recipe
    assert {row["vector"] for row in said["tables"]["sweep"]} == {
        "unedited",
        "no cheese",
        recipe,
        f"{recipe} shuffled (seed 0)",
        f"random of the norm of {recipe} (seed 0)",
    }
    edits = picture(said)[1]["conditions"][f"{recipe}, -1.0"]["edits"]
    assert edits == [f"add(<{recipe}>, -1.0)"]


def test_transfer_and_composition(call: Call) -> None:
    said = call("sweep", "transfer", "--sources", "500000:500003", *FEW)
    assert {row["moved"] for row in said["tables"]["sweep"]} == {True, False}
    picture(said)
    said = call("sweep", "composition", *FEW, "--edit", "zero(channel=1)", "--edit", "zero(channel=2)")
    terms = [(row["term"], row["edit"]) for row in said["tables"]["sweep"][:4]]
    assert terms == [
        ("first", "zero(channel=1)"),
        ("second", "zero(channel=2)"),
        ("both", "zero(channel=1) + zero(channel=2)"),
        ("interaction", "zero(channel=1) + zero(channel=2)"),
    ]
    picture(said)


@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_a_video_shows_the_walks(ending: str, call: Call, network: ImpalaPolicy) -> None:
    said = call("video", "--policy", "fresh", "--level", "3@easy", "--steps", "4", "--type", ending, "--edit", "zero()")
    changed = edited(network, Zero())
    walks = {p.name: walk(p, Level.from_seed(3, "easy"), horizon=4) for p in (network, changed)}
    assert {row["policy"]: row["steps"] for row in said["tables"]["episodes"]} == {
        name: len(episode.squares) - 1 for name, episode in walks.items()
    }
    (file,) = said["files"]
    assert file.endswith(f".{ending}")
    assert Path(file).stat().st_size > 2_000


def test_evaluate_writes_a_table_and_a_figure(call: Call, network: ImpalaPolicy) -> None:
    said = call("evaluate", "fresh", "--levels", "5", "--exact-levels", "2")
    summary, record = picture(said)
    assert said["tables"]["summary"] == rows(summary)
    assert {"fresh", "random walk", "shortest path"} == set(summary["policy"])
    assert set(summary["levels"]) == {"as in training", "cheese anywhere"}
    assert record["hash"] == network.hash


def test_evaluate_compares_two_networks_level_by_level(call: Call) -> None:
    said = call("evaluate", "fresh", "--against", "rand_region_5", "--levels", "6", "--exact-levels", "0")
    summary, _ = picture(said)
    assert {"fresh", "rand_region_5"} < set(summary["policy"])
    compared = pd.DataFrame(said["tables"]["compared"])
    for row in compared[compared["from_dim"] == compared["from_dim"].min()].itertuples():
        part = summary[(summary["levels"] == row.levels) & (summary["choice"] == row.choice)]
        whole = part[(part["measure"] == "success") & (part["n"] == row.n)].drop_duplicates("policy")
        rates = whole.set_index("policy")["estimate"]
        assert row.difference == pytest.approx(rates["fresh"] - rates["rand_region_5"])


def test_train_makes_a_loadable_network_and_goes_on(call: Call, tmp_path: Path) -> None:
    said = call_train(call)
    first = load_policy(tmp_path / "runs" / "tiny")
    assert first.recipe["samples"] == said["arguments"]["recipe"]["samples"] == 512
    assert said["files"] == [str(Path("runs", "tiny"))]
    call_train(call)  # it is finished already
    assert load_policy(tmp_path / "runs" / "tiny").hash == first.hash


def call_train(call: Call) -> dict[str, Any]:
    return call("train", "tiny", "imitation", "--samples", "512", "--batch", "64", "--walkers", "64")


def test_policies_and_edits_are_listed(call: Call) -> None:
    assert [row["name"] for row in call("policies")["tables"]["policies"]] == list_policies()
    tables = call("edits")["tables"]
    assert {"add", "clamp", "zero"} <= {row["name"] for row in tables["edits"]}
    assert {"cheese", "top_right", "shuffled"} <= {row["name"] for row in tables["vectors"]}
    assert [row["name"] for row in tables["layers"]] == list(ImpalaPolicy(seed=0).layers)


def test_tables_for_people(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in (
        (("field", "--policy", "fresh", "--level", "26"), "| p_cheese_move "),
        (("sweep", "coefficients", "--coefficient=-1", *FEW), "| shuffled(cheese) | "),
        (("edits",), "\n  add: Adds"),
        (("policies",), "| rand_region_5 "),
    ):
        monkeypatch.setattr("sys.argv", ["mazeinterp", *words])
        main()
        printed = capsys.readouterr().out
        assert wanted in printed
        assert "nan" not in printed.lower().split()
        assert words[0] in ("edits", "policies") or printed.rstrip().endswith(".png")
