"""Experiments: their numbers against plain loops, and their statistics."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mazeinterp.analysis import (
    Condition,
    compare_conditions,
    readable,
    removal,
    run_experiment,
    steering_conditions,
)
from mazeinterp.analysis.comparisons import _REMOVABLE
from mazeinterp.analysis.experiments import DECISION, EXACT, MEASURES, SAMPLED
from mazeinterp.edits import (
    Add,
    Cheese,
    EditContext,
    Shuffled,
    SteeringVector,
    TopRight,
    adapt,
    edited,
)
from mazeinterp.maze import MOVES, Level, Levels, decision_square, decision_squares, observe
from mazeinterp.maze.paths import ACTION_MOVE, MOVE_STEPS, corner
from mazeinterp.policy import ImpalaPolicy, PolicyOutput

LAYER = "pool"


class Linear(nn.Module):
    """Logits that are linear in how yellow blocks of 4 × 4 pixels are: so a cheese vector hides the cheese."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.pool, self.flat, self.head = nn.AvgPool2d(4), nn.Flatten(), nn.Linear(768, 15)
        weight = torch.randn(15, 1, 256, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            self.head.weight.copy_((0.4 * torch.tensor([1, 1, -2])[:, None] * weight).flatten(1))
            self.head.bias.zero_()

    def forward(self, obs: np.ndarray) -> PolicyOutput:
        logits = self.head(self.flat(self.pool(torch.tensor(obs).permute(0, 3, 1, 2) / 255)))
        return PolicyOutput(logits, logits[:, 0])


def linear(seed: int = 0) -> Any:
    return adapt(Linear(seed), name="linear")


def with_decision(n: int, from_dim: int = 7) -> Levels:
    """The first n levels with a decision square and a maze of some side or more."""
    levels = Levels.from_seeds(range(20 * n), "easy")
    return levels[decision_squares(levels).found & (levels.maze_dim >= from_dim)][:n]


def moves_at(policy: Any, level: Level, seen: Level, square: tuple[int, int], reflected: bool) -> list[float]:
    """A policy's move probabilities in one state, from one observation."""
    shown = seen.with_mouse(square).with_reflected(reflected)
    with torch.no_grad():
        chances = policy(observe(shown), levels=seen).logits.double().softmax(1)[0].tolist()
    return [sum(p for action, p in enumerate(chances) if ACTION_MOVE[action] == move) for move in range(len(MOVES))]


def play_out(policy: Any, level: Level, seen: Level) -> tuple[float, float, float]:
    """P(cheese), P(corner first) and the expected number of steps, by a plain loop over the states of an episode."""
    answers: dict[Any, list[float]] = {}
    steps_of = MOVE_STEPS.tolist()
    open_squares = {(x, y) for y, x in np.argwhere(level.grid != 1).tolist()}
    at_corner = tuple(corner(level)[0].tolist())
    running = {(level.mouse, False, level.mouse == at_corner): 1.0}
    found = corner_first = steps = 0.0
    corner_first += sum(p for (_, _, been), p in running.items() if been)
    for _ in range(500):
        steps += sum(running.values())
        later: dict[Any, float] = {}
        for (square, facing, been), p in running.items():
            if (square, facing) not in answers:
                answers[square, facing] = moves_at(policy, level, seen, square, facing)
            for move, chance in enumerate(answers[square, facing]):
                there = square[0] + steps_of[move][0], square[1] + steps_of[move][1]
                there = there if there in open_squares else square
                if there == level.cheese:
                    found += p * chance
                    continue
                turned = {"left": False, "right": True}.get(MOVES[move], facing)
                first = there == at_corner and not been
                corner_first += p * chance * first
                state = there, turned, been or first
                later[state] = later.get(state, 0.0) + p * chance
        running = later
    return found, corner_first, steps


def small_experiment(policy: Any) -> dict[str, Condition]:
    conditions = steering_conditions(policy, layer=LAYER)
    return {name: conditions[name] for name in ("unedited", "cheese subtracted", "no cheese")}


# The numbers


def test_a_row_for_each_condition_set_and_level_with_numbers_where_they_are_due() -> None:
    levels, training = Levels.from_seeds(range(20), "easy"), Levels.from_seeds(range(3), "easy", 5)
    conditions = small_experiment(linear())
    results = run_experiment(conditions, levels, exact_levels=2, training_levels=training, episodes=3)
    assert list(results) == ["condition", "set", "level", "seed", "maze_dim", *MEASURES]
    rows = [("test", i) for i in range(20)] + [("training", i) for i in range(3)]
    expected = [(condition, *row) for condition in conditions for row in rows]
    assert list(results[["condition", "set", "level"]].itertuples(index=False, name=None)) == expected
    for _, row in results.iterrows():
        level = (levels if row["set"] == "test" else training)[row["level"]]
        assert (row["seed"], row["maze_dim"]) == (level.seed, level.maze_dim)
        decides = row["set"] == "test" and decision_square(level) is not None
        assert row[list(DECISION)].notna().all() == row[list(DECISION)].notna().any() == decides
        exact = row["set"] == "training" or row["level"] < 2
        assert row[["p_cheese", "expected_steps", "success", "steps"]].notna().all() == exact
        on_corner = level.cheese == tuple(corner(level)[0].tolist())
        assert row[["p_corner_first", "corner_first"]].notna().all() == (exact and not on_corner)
    assert results[["success", "corner_first"]].isin([0, 1 / 3, 2 / 3, 1, np.nan]).all(axis=None)


def test_the_numbers_are_those_of_plain_loops() -> None:
    policy = linear()
    levels = with_decision(3, from_dim=5)
    conditions = small_experiment(policy) | {
        "by hand": Condition(
            edited(policy, Add(Shuffled(Cheese(), 5), 0.5, LAYER), Add(TopRight(), -2.0, LAYER)), sees_cheese=True
        )
    }
    results = run_experiment(conditions, levels, exact_levels=1).set_index(["condition", "level"])
    for name, condition in conditions.items():
        for i, level in enumerate(levels):
            row, seen = results.loc[(name, i)], level if condition.sees_cheese else level.without_cheese()
            place = decision_square(level)
            assert place is not None
            moves = moves_at(condition.policy, level, seen, place.square, False)
            assert row["p_cheese_move"] == pytest.approx(moves[place.cheese_move], rel=1e-4)
            assert row["p_corner_move"] == pytest.approx(moves[place.corner_move], rel=1e-4)
            if i < 1 and name in ("by hand", "no cheese"):
                assert row[list(EXACT)].tolist() == pytest.approx(play_out(condition.policy, level, seen), rel=1e-3)


def test_a_linear_network_without_its_cheese_vector_is_blind() -> None:
    """Decision squares whose mouse covers the same blocks in the same way: there the cheese only adds."""
    results = run_experiment(small_experiment(linear()), with_decision(12), exact_levels=0)
    wide = results.pivot(index="level", columns="condition", values="p_cheese_move")
    np.testing.assert_allclose(wide["cheese subtracted"], wide["no cheese"], rtol=1e-4)
    assert (wide["unedited"] - wide["no cheese"]).abs().max() > 0.01
    table = compare_conditions(results, ["p_cheese_move"]).set_index("condition")
    assert table.loc["cheese subtracted", "removal"] == pytest.approx(1, abs=1e-3)


def test_sampled_episodes_agree_with_the_exact_outcomes() -> None:
    results = run_experiment(small_experiment(linear()), with_decision(2), exact_levels=2, episodes=4000)
    for sampled, exact, tolerance in zip(SAMPLED, EXACT, (0.04, 0.04, 20), strict=True):
        np.testing.assert_allclose(results[sampled], results[exact], rtol=0, atol=tolerance)


def test_the_headline_conditions_are_the_edits_that_they_are_called() -> None:
    policy = ImpalaPolicy(seed=0)
    edits = {name: c.policy.edits for name, c in steering_conditions(policy, seed=3).items() if c.policy is not policy}
    described = {
        "cheese subtracted": "add(cheese, -1.0)",
        "cheese added": "add(cheese, 1.0)",
        "top-right added": "add(top_right, 1.0)",
        "both": "add(cheese, -1.0) + add(top_right, 1.0)",
        "shuffled cheese subtracted": "add(shuffled(cheese, seed=3), -1.0)",
        "random cheese subtracted": "add(random(cheese, seed=3), -1.0)",
        "another maze's cheese subtracted": "add(another(cheese, seed=3), -1.0)",
        "shuffled top-right added": "add(shuffled(top_right, seed=3), 1.0)",
        "random top-right added": "add(random(top_right, seed=3), 1.0)",
        "another maze's top-right added": "add(another(top_right, seed=3), 1.0)",
    }
    assert {name: edited(policy, *made).name.partition(" + ")[2] for name, made in edits.items()} == described
    conditions = steering_conditions(policy)
    assert [name for name, condition in conditions.items() if not condition.sees_cheese] == ["no cheese"]
    assert conditions["unedited"].policy is conditions["no cheese"].policy is policy


# The comparison


def test_the_table_is_means_differences_and_one_holm_family() -> None:
    levels = Levels.from_seeds(range(40), "easy")
    conditions = small_experiment(linear())
    training = Levels.from_seeds(range(12), "easy", 5)
    results = run_experiment(conditions, levels, exact_levels=6, training_levels=training)
    table = compare_conditions(results, from_dim=5)
    rows = table.set_index(["set", "measure", "condition"])
    assert len(rows) == 5 * 3 + 3 * 3  # the training levels have no decision squares to show
    counted = results[results["maze_dim"] >= 5]
    for (name, measure, condition), row in rows.iterrows():
        wide = counted[counted["set"] == name].pivot(index="level", columns="condition", values=measure).dropna()
        assert row["n"] == len(wide)
        assert row["estimate"] == pytest.approx(wide[condition].mean())
        assert row["low"] <= row["estimate"] <= row["high"]
        if condition == "unedited":
            assert np.isnan(row["difference"])
            continue
        assert row["difference"] == pytest.approx((wide[condition] - wide["unedited"]).mean(), abs=1e-12)
        share = (wide["unedited"] - wide[condition]).mean() / (wide["unedited"] - wide["no cheese"]).mean()
        if name == "test" and measure in _REMOVABLE:
            assert row["removal"] == pytest.approx(share)
        else:
            assert np.isnan(row["removal"])
    # Holm, step by step
    tested = table.dropna(subset=["p_value"]).sort_values("p_value")
    largest = 0.0
    for i, (p_value, p_holm) in enumerate(zip(tested["p_value"], tested["p_holm"], strict=True)):
        largest = max(largest, min(1.0, (len(tested) - i) * p_value))
        assert p_holm == pytest.approx(largest)
    assert table.attrs["provenance"] == results.attrs["provenance"]


def test_the_table_for_people_has_every_number_with_its_interval() -> None:
    results = run_experiment(small_experiment(linear()), with_decision(6), exact_levels=3)
    compared = compare_conditions(results)
    compared.loc[4, "p_holm"] = 0.01
    shown = readable(compared)
    assert list(shown) == ["set", "condition", *DECISION, *EXACT, "removal"]
    assert list(shown["condition"]) == ["unedited", "cheese subtracted", "no cheese"]
    starred = 0
    for _, row in compared.iterrows():
        cell = shown.set_index("condition").loc[row["condition"], row["measure"]]
        numbers = [float(text) for text in re.findall(r"[\d.]+", cell)]
        tolerance = 0.5 if row["estimate"] >= 10 else 0.0005
        np.testing.assert_allclose(numbers, row[["estimate", "low", "high"]].astype(float), rtol=0, atol=tolerance)
        assert cell.endswith("*") == (row["p_holm"] < 0.05)
        starred += cell.endswith("*")
    assert starred
    assert shown.loc[2, "removal"] == "1.000 [1.000, 1.000]"
    assert "removal" not in readable(compared[compared["measure"] == "p_cheese"])


def test_small_mazes_are_left_out_of_the_headline() -> None:
    levels = Levels.from_seeds(range(80), "easy")
    results = run_experiment(small_experiment(linear()), levels, exact_levels=0)
    found = decision_squares(levels).found
    table = compare_conditions(results, ["p_cheese_move"])
    assert set(table["n"]) == {(found & (levels.maze_dim >= 7)).sum()}
    assert set(compare_conditions(results, ["p_cheese_move"], from_dim=0)["n"]) == {found.sum()}
    with pytest.raises(ValueError, match="from_dim=0"):
        compare_conditions(results, from_dim=99)


def test_a_policy_that_ignores_the_cheese_has_nothing_to_remove() -> None:
    module = Linear()
    with torch.no_grad():
        module.head.weight.zero_()
    table = compare_conditions(run_experiment(small_experiment(adapt(module)), with_decision(4), exact_levels=0))
    assert table["removal"].isna().all()
    numbers = table[["estimate", "difference"]].dropna()
    assert (numbers["difference"] == 0).all()


@given(st.lists(st.tuples(*[st.floats(0.1, 0.4)] * 3), min_size=2, max_size=12))
@settings(max_examples=10)
def test_removal_is_the_share_of_the_gap(rows: list[tuple[float, float, float]]) -> None:
    base, changed, blind = np.array(rows).T + np.array([[0.5], [0.2], [0.0]])
    found = removal(base, changed, blind)
    assert found.estimate == pytest.approx((base.mean() - changed.mean()) / (base.mean() - blind.mean()))
    assert found.n == len(rows)
    assert found.low - 1e-9 <= found.estimate <= found.high + 1e-9
    # A second copy of all levels says nothing new if each is grouped with its original.
    copies = [np.tile(column, 2) for column in (base, changed, blind)]
    np.testing.assert_allclose(removal(*copies, groups=np.tile(np.arange(len(rows)), 2)), found)
    for same, value in ((base, 0.0), (blind, 1.0), ((base + blind) / 2, 0.5)):
        assert removal(base, same, blind)[:3] == pytest.approx((value,) * 3)


def test_removal_of_noise_has_an_interval_of_the_right_width() -> None:
    """Against the delta method's normal interval, with many levels."""
    rng = np.random.default_rng(0)
    base, blind = 0.8 + 0.02 * rng.standard_normal(400), 0.1 + 0.02 * rng.standard_normal(400)
    changed = 0.4 + 0.2 * rng.standard_normal(400)
    found = removal(base, changed, blind)
    width = 2 * 1.96 * 0.2 / np.sqrt(400) / 0.7
    assert found.high - found.low == pytest.approx(width, rel=0.1)


# Processes, and files


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    arguments = (small_experiment(linear()), Levels.from_seeds(range(30), "easy"))
    alone = run_experiment(*arguments, exact_levels=3)
    together = run_experiment(*arguments, exact_levels=3, workers=2, folder=tmp_path)
    pd.testing.assert_frame_equal(alone, together, check_exact=True)
    (file,) = tmp_path.iterdir()
    kept = pd.read_parquet(file)
    pd.testing.assert_frame_equal(alone, kept, check_exact=True)
    provenance = kept.attrs["provenance"]
    assert provenance | {"key": 0} == json.loads(json.dumps(alone.attrs["provenance"])) | {"key": 0}
    assert provenance["conditions"]["cheese subtracted"]["edits"] == ["add(cheese, -1.0, layer='pool')"]
    assert provenance["sets"]["test"] == {
        "levels": 30,
        "exact": 3,
        "mode": "easy",
        "seeds": [0, 29],
        "split": "held out, for reporting",
        "edited": 0,
    }
    assert set(provenance["versions"]) >= {"mazeinterp", "torch", "python", "source"}


# What is wrong is said


def outcome_of(call: Callable[[], object]) -> str:
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    return str(caught.value)


def test_bad_input_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Noise:
        layer: str = LAYER
        stochastic = True

        def apply(self, activation: torch.Tensor, context: EditContext) -> torch.Tensor:
            return activation + torch.randn(activation.shape, generator=context.generator)

    policy, levels = linear(), with_decision(3)
    conditions = {"unedited": Condition(policy)}
    no_decision = Levels.from_seeds(range(20), "easy", 0)
    straight = [level.with_cheese(level.mouse) for level in levels]
    assert "nothing to measure" in outcome_of(lambda: run_experiment(conditions, no_decision, exact_levels=0))
    assert "nothing to measure" in outcome_of(lambda: run_experiment({}, levels))
    assert "level 1 of the test levels has no cheese" in outcome_of(
        lambda: run_experiment(conditions, [levels[0], levels[1].without_cheese()])
    )
    assert "training levels has no cheese" in outcome_of(
        lambda: run_experiment(conditions, levels, training_levels=levels.without_cheese())
    )
    assert "starts on a cheese" in outcome_of(lambda: run_experiment(conditions, straight))
    assert "stochastic" in outcome_of(lambda: run_experiment({"a": Condition(edited(policy, Noise()))}, levels))
    assert "nearest: pool" in outcome_of(lambda: steering_conditions(policy, layer="pol"))
    assert "exact_levels is -1" in outcome_of(lambda: run_experiment(conditions, levels, exact_levels=-1))
    assert "episodes 0" in outcome_of(lambda: run_experiment(conditions, levels, episodes=0))
    assert "workers is 0" in outcome_of(lambda: run_experiment(conditions, levels, workers=0))

    def closure(obs: np.ndarray, **_: object) -> PolicyOutput:
        return policy(obs)

    refused = {"a": Condition(closure)}
    assert "top of a module" in outcome_of(lambda: run_experiment(refused, levels, workers=2))
    assert "cannot be told" in outcome_of(lambda: run_experiment(refused, levels, folder=tmp_path))
    assert not list(tmp_path.iterdir())
    misshapen = SteeringVector(np.ones(3, np.float32), LAYER, None, "three numbers")
    wrong = {"a": Condition(edited(policy, Add(misshapen, 1.0)))}
    assert "three numbers" in outcome_of(lambda: run_experiment(wrong, levels, folder=tmp_path / "new"))
    assert not list((tmp_path / "new").iterdir())
    results = run_experiment(conditions, levels, exact_levels=0)
    assert "only condition" in outcome_of(lambda: compare_conditions(results))
    renamed = results.assign(condition="plain")
    assert "no policy 'unedited'" in outcome_of(lambda: compare_conditions(renamed))


def test_removal_refuses_what_has_no_answer() -> None:
    assert "nothing to remove" in outcome_of(lambda: removal([0.5, 0.4], [0.1, 0.2], [0.5, 0.4]))
    assert "at least two levels" in outcome_of(lambda: removal([0.5], [0.1], [0.2]))
    assert "at least two levels" in outcome_of(lambda: removal([0.5, 0.4], [0.1, 0.1], [0.2, 0.2], groups=[3, 3]))
    assert "one length" in outcome_of(lambda: removal([0.5, 0.4], [0.1], [0.2, 0.1]))
    assert "finite" in outcome_of(lambda: removal([0.5, np.nan], [0.1, 0.2], [0.2, 0.1]))


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(OSError, match="taken"):
        run_experiment({"unedited": Condition(linear())}, with_decision(2), exact_levels=0, folder=taken)
    assert list(tmp_path.iterdir()) == [taken]
