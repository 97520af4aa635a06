"""Sweeps, transfer and composition: their points against direct computation."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_experiments import LAYER, linear, outcome_of, with_decision
from torch import nn

from mazeinterp.analysis import (
    average_sweep,
    coefficient_sweep,
    composition,
    decide,
    layer_sweep,
    transfer,
    transfer_pairs,
    translation_sweep,
)
from mazeinterp.analysis.sweeps import CHEESE_AND_CONTROLS
from mazeinterp.edits import (
    Add,
    Cheese,
    Random,
    Shuffled,
    SteeringVector,
    TopRight,
    Translated,
    adapt,
    cell_of,
    cheese_vector,
    edited,
    list_vectors,
    parse_edit,
    top_right_vector,
)
from mazeinterp.maze import Levels, decision_squares
from mazeinterp.policy import PolicyOutput

MEASURES = ("p_cheese_move", "p_corner_move")


def means(policy: Any, levels: Levels, shown: Levels | None = None) -> list[float]:
    return decide(policy, levels, shown)[list(MEASURES)].astype(float).mean().tolist()


def estimates(sweep: pd.DataFrame, **point: object) -> list[float]:
    """The estimates of one point of a sweep, by measure."""
    rows = sweep
    for column, value in point.items():
        rows = rows[rows[column] == value]
    assert list(rows["measure"]) == list(MEASURES)
    return rows["estimate"].tolist()


def test_a_coefficient_sweep_has_every_vector_at_every_coefficient() -> None:
    policy, levels = linear(), with_decision(4)
    vectors = [Cheese(), Shuffled(Cheese(), 2), cheese_vector(policy, levels[0], LAYER)]
    sweep = coefficient_sweep(policy, levels, vectors, [-2.0, 0, 1.5], layer=LAYER)
    assert len(sweep) == 2 * (2 + 3 * 3)
    for vector, name in zip(
        vectors, ("cheese", "shuffled(cheese, seed=2)", f"cheese of level {levels.seed[0]}"), strict=True
    ):
        for coefficient in (-2.0, 0.0, 1.5):
            direct = means(edited(policy, Add(vector, coefficient, LAYER)), levels)
            assert estimates(sweep, vector=name, coefficient=coefficient) == pytest.approx(direct, rel=1e-5)
        none = sweep[(sweep["vector"] == name) & (sweep["coefficient"] == 0)]
        assert (none["difference"] == 0).all()
    assert estimates(sweep, vector="unedited") == pytest.approx(means(policy, levels), rel=1e-5)
    blind = means(policy, levels, levels.without_cheese())
    assert estimates(sweep, vector="no cheese") == pytest.approx(blind, rel=1e-5)
    assert sweep.loc[sweep["vector"].isin(["unedited", "no cheese"]), "coefficient"].isna().all()
    assert "add(cheese, -2.0" in str(sweep.attrs["provenance"])


def test_a_layer_sweep_computes_and_adds_the_vector_at_each_layer() -> None:
    """In a linear network the layer does not matter, where a vector takes the cheese away."""
    policy, levels = linear(), with_decision(4)
    sweep = layer_sweep(policy, levels, [Cheese()])
    assert list(dict.fromkeys(sweep["layer"].dropna())) == list(policy.layers) == ["pool", "flat", "head"]
    blind = means(policy, levels, levels.without_cheese())
    for layer in policy.layers:
        assert estimates(sweep, vector="cheese", layer=layer) == pytest.approx(blind, rel=1e-3)
    taken = sweep[(sweep["vector"] == "cheese") & (sweep["measure"] == "p_cheese_move")]
    np.testing.assert_allclose(taken[["removal", "removal_low", "removal_high"]], 1, atol=1e-3)
    added = layer_sweep(policy, levels, [TopRight()], 2.0, layers=["flat"])
    direct = means(edited(policy, Add(TopRight(), 2.0, "flat")), levels)
    assert estimates(added, vector="top_right", layer="flat") == pytest.approx(direct, rel=1e-5)


def test_a_translation_sweep_moves_each_levels_vector_by_cells() -> None:
    policy, levels = linear(), with_decision(3)
    sweep = translation_sweep(policy, levels, reach=1, layer=LAYER)
    assert len(sweep) == 2 * (2 + 9)
    for right, up in ((0, 0), (1, 0), (-1, 1)):
        p_cheese = []
        for level in levels:
            moved = cheese_vector(policy, level, LAYER).translated(right, up)
            p_cheese.append(means(edited(policy, Add(moved, -1.0)), Levels.stack(level)))
        assert estimates(sweep, right=right, up=up) == pytest.approx(np.mean(p_cheese, axis=0), rel=1e-4)
    vector = cheese_vector(policy, levels[0], LAYER)
    one = translation_sweep(policy, levels, vector, 3.0, reach=1, layer=LAYER)
    direct = means(edited(policy, Add(vector.translated(1, -1), 3.0)), levels)
    assert estimates(one, right=1, up=-1) == pytest.approx(direct, rel=1e-5)


def test_a_moved_vector_has_a_name_in_text() -> None:
    edit = parse_edit("add(translated(cheese, right=2, up=-1), 1.0, layer='pool')")
    assert edit == Add(Translated(Cheese(), 2, -1), 1.0, "pool")
    assert "translated" in [entry.name for entry in list_vectors()]


@pytest.mark.parametrize("make", [cheese_vector, top_right_vector])
def test_an_average_sweep_adds_the_mean_vector_of_held_out_mazes(make: Any) -> None:
    policy, levels = linear(), with_decision(3)
    sweep = average_sweep(policy, levels, -1.0, make=make, sizes=(1, 3), cheese_regions=(None, 2), layer=LAYER)
    for region, size in ((None, 1), (None, 3), (2, 3)):
        mazes = Levels.from_seeds(range(500_000, 500_000 + size), "easy", region)
        mean = np.mean([make(policy, maze, LAYER).values for maze in mazes], axis=0, dtype=np.float64)
        vector = SteeringVector(mean.astype(np.float32), LAYER, None, "mean")
        direct = means(edited(policy, Add(vector, -1.0)), levels)
        regions = sweep["cheese_region"]
        rows = sweep[(sweep["mazes"] == size) & (regions.isna() if region is None else regions == region)]
        assert rows["estimate"].tolist() == pytest.approx(direct, rel=1e-4)
        assert set(rows["vector"]) == {make.__name__}


def test_transfer_pairs_are_measured_one_by_one() -> None:
    policy, levels = linear(), with_decision(4)
    sources = Levels.stack([levels[2], *Levels.from_seeds(range(500_000, 500_003), "easy")])
    pairs = transfer_pairs(policy, levels, sources, layer=LAYER)
    assert len(pairs) == 2 * (4 * 4 - 1)  # a level's own vector is left out
    assert not ((pairs["source"] == 0) & (pairs["level"] == 2)).any()
    for _, pair in pairs.iterrows():
        source, level = sources[pair["source"]], levels[pair["level"]]
        assert source.cheese is not None
        assert level.cheese is not None
        (x, y), (source_x, source_y) = level.cheese, source.cheese
        assert pair["distance"] == pytest.approx(((x - source_x) ** 2 + (y - source_y) ** 2) ** 0.5)
        vector = cheese_vector(policy, source, LAYER)
        if pair["moved"]:
            (row, column), (source_row, source_column) = (
                cell_of(place, 16, "easy") for place in ((x, y), source.cheese)
            )
            vector = vector.translated(right=column - source_column, up=source_row - row)
        direct = means(edited(policy, Add(vector, -1.0)), Levels.stack(level))
        assert pair[list(MEASURES)].tolist() == pytest.approx(direct, rel=1e-4)
        assert pair["base"] == pytest.approx(means(policy, Levels.stack(level))[0], rel=1e-5)
        assert pair["blind"] == pytest.approx(means(policy, Levels.stack(level), level.without_cheese())[0], rel=1e-5)


def test_transfer_sums_its_pairs_up_by_bands_of_distance() -> None:
    policy, levels, sources = linear(), with_decision(5), Levels.from_seeds(range(500_000, 500_006), "easy")
    pairs = transfer_pairs(policy, levels, sources, layer=LAYER)
    edges = (0.0, 5.0, 9.0, 40.0)
    table = transfer(policy, levels, sources, edges=edges, layer=LAYER)
    assert table["pairs"].sum() == len(pairs)
    for _, row in table.iterrows():
        low, high = row["from_distance"], row["to_distance"]
        within = pairs["distance"].le(high) & (pairs["distance"].gt(low) | (low == 0))
        part = pairs[within & (pairs["moved"] == row["moved"])]
        assert (row["pairs"], row["n"]) == (len(part), part["level"].nunique())
        fall = (part["base"] - part["p_cheese_move"]).mean()
        assert row["difference"] == pytest.approx(-fall)
        assert row["removal"] == pytest.approx(fall / (part["base"] - part["blind"]).mean())
        assert row["removal_low"] <= row["removal"] <= row["removal_high"]
    assert "no pair" in outcome_of(lambda: transfer(policy, levels, sources, edges=(50, 60), layer=LAYER))


class Additive(nn.Module):
    """Move probabilities that are linear in a layer of two numbers, which are zero unless edited."""

    def __init__(self) -> None:
        super().__init__()
        self.dials = nn.Identity()

    def forward(self, obs: np.ndarray) -> PolicyOutput:
        # Some light from the picture, so that levels differ.
        light = torch.tensor(obs, dtype=torch.float32).mean((1, 2, 3), keepdim=True).flatten(1) / 25500
        dials = self.dials(torch.zeros(len(obs), 2))
        moves = 0.15 + light * torch.tensor([1.0, 2, 3, 4]) + dials @ torch.tensor([[1.0, -1, 2, -2], [3, 1, -1, -3]])
        logits = torch.full((len(obs), 15), -torch.inf)
        logits[:, [1, 7, 5, 3]] = moves.log()
        logits[:, 4] = (1 - moves.sum(1)).log()
        return PolicyOutput(logits, moves[:, 0])


def test_additive_effects_have_no_interaction_and_others_do() -> None:
    policy, levels = adapt(Additive()), with_decision(12)
    turns = ([0.01, 0], [0.005, 0.008])
    vectors = (SteeringVector(np.float32(turn), "dials", None, f"turn {turn}") for turn in turns)
    first, second = (Add(vector, 1.0) for vector in vectors)
    table = composition(policy, levels, first, second)
    assert list(table["term"]) == ["first", "second", "both", "interaction"] * 2
    for measure, rows in table.groupby("measure"):
        effects = rows.set_index("term")["estimate"]
        assert effects["first"] + effects["second"] == pytest.approx(effects["both"], abs=1e-6)
        assert effects["interaction"] == pytest.approx(0, abs=1e-6)
        assert effects.drop("interaction").abs().min() > 1e-4, measure
    crossed = linear()
    first, second = Add(Cheese(), 25.0, LAYER), Add(Random(Cheese()), 25.0, LAYER)
    table = composition(crossed, levels, first, second).set_index(["measure", "term"])
    assert set(table["edit"]) == {
        "add(cheese, 25.0, layer='pool')",
        "add(random(cheese), 25.0, layer='pool')",
        "add(cheese, 25.0, layer='pool') + add(random(cheese), 25.0, layer='pool')",
    }
    base = np.array(means(crossed, levels))
    combined = [(first,), (second,), (first, second)]
    one, two, both = (np.array(means(edited(crossed, *edits), levels)) for edits in combined)
    for measure, value in zip(MEASURES, both - one - two + base, strict=True):
        row = table.loc[(measure, "interaction")]
        assert row["estimate"] == pytest.approx(value, abs=1e-6)
        assert row["low"] <= row["estimate"] <= row["high"]
    assert table["estimate"].xs("interaction", level="term").abs().max() > 0.01


def test_only_levels_that_count_are_swept() -> None:
    levels = Levels.from_seeds(range(60), "easy")
    counted = decision_squares(levels).found & (levels.maze_dim >= 7)
    sweep = layer_sweep(linear(), levels, [Cheese()], layers=[LAYER])
    assert set(sweep["n"]) == {counted.sum()}


def test_bad_sweeps_are_refused() -> None:
    policy, levels = linear(), with_decision(3)
    vector = cheese_vector(policy, levels[0], LAYER)
    assert "nearest: pool" in outcome_of(lambda: layer_sweep(policy, levels, layers=["poool"]))
    assert "at least two" in outcome_of(lambda: coefficient_sweep(policy, levels[:1], layer=LAYER))
    assert "at least two" in outcome_of(lambda: transfer(policy, levels.without_cheese(), levels, layer=LAYER))
    assert "another name" in outcome_of(lambda: coefficient_sweep(policy, levels, [vector, vector], layer=LAYER))
    assert "at least one" in outcome_of(lambda: coefficient_sweep(policy, levels, [], layer=LAYER))
    assert "at least one maze" in outcome_of(lambda: average_sweep(policy, levels, sizes=(0, 3), layer=LAYER))
    assert "no cells" in outcome_of(lambda: translation_sweep(policy, levels, layer="flat", reach=1))
    assert "no cells" in outcome_of(lambda: transfer(policy, levels, levels, layer="flat"))
    assert "no cheese" in outcome_of(lambda: transfer(policy, levels, levels.without_cheese(), layer=LAYER))
    assert [type(control).__name__ for control in CHEESE_AND_CONTROLS] == ["Cheese", "Shuffled", "Random", "Another"]
