"""Ablation of found channels against random sets, and attribution, on networks in which a few channels are read."""

from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hand_made import corridor, sharp_network

from mazeinterp.analysis import attribution, confirmation, decide, run_experiment, run_policy
from mazeinterp.analysis.attribution import attribute_decision, compare_attribution
from mazeinterp.analysis.confirmation import ABLATIONS, ablate_channels, ablation_conditions, confirm
from mazeinterp.analysis.evaluation import held_out
from mazeinterp.analysis.resuming import matched_channel_sets, random_channel_sets
from mazeinterp.analysis.sweeps import counted_levels
from mazeinterp.edits import DEFAULT_LAYER, Clamp, Mean, Resample, Zero, edited, record
from mazeinterp.maze import Levels, decision_squares, observe
from mazeinterp.plots.confirmation import plot_attribution, plot_confirmation
from mazeinterp.policy import LAYERS, ImpalaPolicy

READ = (3, 11)
CHANNELS = 32
TRAINING = Levels.stack([corridor("MC").with_background(background) for background in (0, 4)])  # one free square each


def reading(channels: tuple[int, ...] = READ) -> ImpalaPolicy:
    """A network that reads no other channels of the default layer: no weight goes out from those."""
    policy = sharp_network(seed=2)
    others = np.setdiff1d(np.arange(CHANNELS), channels)
    with torch.no_grad():
        policy.get_submodule("embedder.block2.res2.conv1").weight[:, others] = 0
        policy.get_submodule("embedder.block3.conv").weight[:, others] = 0
        policy.fc_policy.weight.mul_(10)
    return policy


@pytest.fixture(scope="module")
def levels() -> Levels:
    """Levels on which the reading network does prefer the cheese because of what it reads."""
    policy, batch = reading(), counted_levels(held_out(60))
    seen, blind = (decide(each, batch) for each in (policy, edited(policy, Zero(channel=READ))))
    return batch[(seen["p_cheese_move"] > blind["p_cheese_move"] + 0.02).to_numpy()]


# Resuming


@pytest.mark.parametrize("layer", [name for name in LAYERS[:-2] if ".res" not in name or "resadd" in name])
def test_the_network_goes_on_from_a_layer_as_it_would_have(layer: str) -> None:
    policy, batch = sharp_network(), held_out(3)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.01)  # no bias is zero, so a forgotten one shows
        whole, rest = policy(observe(batch)), policy.resume(record(policy, batch, layer)[layer], layer)
    np.testing.assert_allclose(rest.logits, whole.logits, rtol=0, atol=1e-6)
    np.testing.assert_allclose(rest.value, whole.value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layer", ["embedder.block2.res1.relu2_out", "embedder.block1.res2.conv2_out", "fc_policy_out"])
def test_a_layer_that_something_goes_round_is_refused(layer: str) -> None:
    with pytest.raises(ValueError, match=r"alone does not tell.*resadd_out"):
        sharp_network().resume(torch.zeros(1, 32, 16, 16), layer)


# Random sets


@pytest.mark.parametrize("n", [5, 300])
def test_matched_sets_are_the_nearest_of_all_there_are(n: int) -> None:
    squares = np.random.default_rng(0).exponential(size=9)
    sets = matched_channel_sets(squares, (2, 5), n, np.random.default_rng(1))
    distance = {
        pair: abs(np.sqrt(squares[list(pair)].sum()) - np.sqrt(squares[[2, 5]].sum()))
        for pair in combinations([0, 1, 3, 4, 6, 7, 8], 2)
    }
    assert [tuple(row) for row in sets.tolist()] == sorted(distance, key=distance.__getitem__)[:n]


def test_many_matched_sets_are_drawn_at_random_and_all_differ() -> None:
    squares, found = np.random.default_rng(0).exponential(size=64), (1, 2, 3, 4, 5, 60)
    sets, again, other = (
        matched_channel_sets(squares, found, 50, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)
    )
    assert sets == again != other
    assert len({tuple(row) for row in sets}) == 50
    assert all(len(set(row)) == 6 and not set(row) & set(found) for row in sets)
    norms = np.sqrt([squares[row].sum() for row in sets])
    drawn = random_channel_sets(64, found, 50, np.random.default_rng(0))
    target = np.sqrt(squares[list(found)].sum())
    assert np.abs(norms - target).max() < np.abs(np.sqrt(squares[drawn].sum(axis=1)) - target).min() + 0.05
    assert drawn.shape == (50, 6)
    assert not np.isin(drawn, found).any()


# Ablation


def test_effects_are_those_of_the_edited_policy(levels: Levels) -> None:
    policy, found, few = sharp_network(), (0, 7, 20), levels[:4]
    effects = ablate_channels(policy, found, few, TRAINING, random_sets=2, seed=5)
    base, _ = run_policy(policy, observe(TRAINING), TRAINING, np.arange(2))
    before = decide(policy, few)
    assert effects.attrs["confirmation"]["p_cheese_move"] == pytest.approx(before["p_cheese_move"].mean(), abs=1e-6)
    for row in effects.itertuples():
        channels = tuple(map(int, row.channels.split()))
        kind = {"zero": Zero, "mean": Mean, "resample": Resample}[row.ablation]
        ablated = edited(policy, kind(channel=channels, **({"seed": 5} if kind is Resample else {})))
        if row.set == "channel" and channels[0] > 0:
            continue  # a few of them will do
        after = decide(ablated, few)
        assert row.p_cheese_move == pytest.approx(after["p_cheese_move"].mean(), abs=1e-6)
        assert row.drop == pytest.approx((before["p_cheese_move"] - after["p_cheese_move"]).mean(), abs=1e-6)
        odds = [np.log(each["p_cheese_move"]) - np.log(each["p_corner_move"]) for each in (before, after)]
        assert row.log_odds_drop == pytest.approx((odds[0] - odds[1]).mean(), abs=1e-4)
        moves, _ = run_policy(ablated, observe(TRAINING), TRAINING, np.arange(2))
        assert row.expert_drop == pytest.approx((base - moves)[:, 1].mean(), abs=1e-6)  # the cheese is to the right
        assert row.total_variation == pytest.approx(np.abs(base - moves).sum(axis=1).mean() / 2, abs=1e-6)


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_the_norm_is_how_far_an_ablation_moves_the_layer(levels: Levels, ablation: Any) -> None:
    policy, few = sharp_network(), levels[:3]
    effects = ablate_channels(policy, (4, 9), few, TRAINING, ablations=[ablation], random_sets=1)
    edit = {"zero": Zero, "mean": Mean, "resample": Resample}[ablation](channel=(4, 9))
    seen = []
    for each in (policy, edited(policy, edit)):
        states = few.with_mouse(decision_squares(few).square)
        with torch.no_grad():
            each(
                observe(states),
                tap=lambda name, x: seen.append(x.double()) or x if name == DEFAULT_LAYER else x,
                levels=few,
            )
    squares = (seen[1] - seen[0]).square().sum(dim=(1, 2, 3))
    assert effects["norm"][0] == pytest.approx(float(squares.mean().sqrt()), rel=1e-5)


def test_what_the_network_reads_is_confirmed_and_nothing_else_has_an_effect(levels: Levels) -> None:
    effects = ablate_channels(reading(), READ, levels, TRAINING, ablations=["zero"], random_sets=40)
    random = effects[effects["set"] == "random"]
    np.testing.assert_allclose(random[["drop", "expert_drop", "total_variation"]], 0, atol=1e-6)
    found = confirm(effects).iloc[0]
    assert found["drop"] > 0.02
    assert found["drop_low"] > 0
    assert found["p_holm"] < 0.05
    assert found["exceeds"] == 1
    assert found["confirmed"]
    assert found["random_sets"] == 40
    assert found["random_norm_low"] <= random["norm"].median() <= found["random_norm_high"]
    alone = effects[effects["set"] == "channel"]
    assert len(alone) == CHANNELS
    assert alone["p_value"].notna().sum() == len(READ)


def test_what_is_not_read_is_not_confirmed(levels: Levels) -> None:
    effects = ablate_channels(reading(), (0, 1), levels, TRAINING, ablations=["zero"], random_sets=40)
    standing = confirm(effects)
    assert not standing["confirmed"].any()
    assert standing["drop"].abs().max() < 1e-6


def test_single_channels_are_compared_with_those_that_were_not_found(levels: Levels) -> None:
    standing = confirm(ablate_channels(reading(), (*READ, 0), levels, TRAINING, ablations=["mean"], random_sets=5))
    assert standing["channels"].tolist() == ["3 11 0", "0", "3", "11"]
    assert standing["random_sets"].tolist() == [5, 29, 29, 29]


def test_kept_work_is_not_done_again(levels: Levels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured() -> pd.DataFrame:
        return ablate_channels(
            policy, READ, levels[:2], TRAINING, ablations=["zero"], random_sets=30, folder=tmp_path, seed=1
        )

    policy, calls = reading(), []
    original = confirmation.resumed_moves
    monkeypatch.setattr(confirmation, "resumed_moves", lambda *a: calls.append(1) or original(*a))
    first = measured()
    assert len(calls) == 2 + 2 * (1 + CHANNELS + 30)
    pd.testing.assert_frame_equal(measured(), first)
    assert len(calls) == 4 + 2 * (1 + CHANNELS + 30)  # the unedited moves only
    assert len(list(tmp_path.rglob("*.parquet"))) == 2


def test_an_experiment_sees_the_same_ablations(levels: Levels) -> None:
    policy, few = sharp_network(), levels[:3]
    results = run_experiment(ablation_conditions(policy, (1, 2), seed=3), few, exact_levels=0)
    effects = ablate_channels(policy, (1, 2), few, TRAINING, random_sets=1, seed=3)
    expected = results.groupby("condition")["p_cheese_move"].mean()
    assert set(expected.index) == {"unedited", "no cheese", *ABLATIONS}
    found = effects[effects["set"] == "found"].set_index("ablation")["p_cheese_move"]
    np.testing.assert_allclose(found, expected[list(found.index)], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": (32,)}, "has channels 0 to 31, no 32"),
        ({"channels": (-1,)}, "has channels 0 to 31, no -1"),
        ({"channels": (3, 3)}, "each is named once"),
        ({"channels": ()}, "give at least one"),
        ({"channels": range(17)}, "choose at most half"),
        ({"layer": "embedder.block2.res3.resadd_out"}, r"unknown layer.*nearest.*block2.res2.resadd_out"),
        ({"layer": "embedder.block2.res1.relu1_out"}, "alone does not tell what follows"),
        ({"ablations": ["noise"]}, "at least one of zero, mean, resample"),
        ({"ablations": []}, "at least one of zero, mean, resample"),
        ({"random_sets": 0}, "one random set"),
        ({"levels": held_out(1)}, "at least two"),
        ({"training_levels": corridor("MC").without_cheese()}, "no cheese"),
    ],
)
def test_bad_ablations_are_refused(levels: Levels, arguments: dict[str, Any], message: str) -> None:
    usual = {"channels": READ, "levels": levels[:2], "training_levels": TRAINING, "random_sets": 1}
    with pytest.raises(ValueError, match=message):
        ablate_channels(sharp_network(), **(usual | arguments))


def test_an_edited_policy_is_refused(levels: Levels) -> None:
    policy: Any = edited(sharp_network(), Clamp(channel=1, value=0.0))
    with pytest.raises(TypeError, match="EditedPolicy cannot be resumed"):
        ablate_channels(policy, READ, levels, TRAINING)
    with pytest.raises(ValueError, match="no table of ablate_channels"):
        confirm(pd.DataFrame({"drop": [1.0]}))


# Attribution


@pytest.mark.parametrize("method", list(attribution.METHODS))
def test_attributions_are_complete_and_about_what_is_read(levels: Levels, method: str) -> None:
    policy, few = reading(), levels[:4]
    table = attribute_decision(policy, few, methods=[method], steps=100)
    assert len(table) == 4 * CHANNELS
    shown, blank = (decide(policy, few, seen) for seen in (few, few.without_cheese()))
    odds = [np.log(each["p_cheese_move"]) - np.log(each["p_corner_move"]) for each in (shown, blank)]
    per_level = table.groupby("level")
    np.testing.assert_allclose(per_level["difference"].first(), odds[0] - odds[1], atol=1e-4)
    gap = per_level["attribution"].sum() - per_level["difference"].first()
    np.testing.assert_allclose(per_level["gap"].first(), gap, atol=1e-9)
    assert gap.abs().sum() < 0.1 * per_level["difference"].first().abs().sum()
    others = table[~table["channel"].isin(READ)]
    np.testing.assert_allclose(others["attribution"], 0, atol=1e-9)


def test_attributions_in_a_linear_network_are_gradient_times_difference(levels: Levels) -> None:
    """After the last hidden layer the logits are linear, and with it log-odds of moves of one action each."""
    policy, layer = sharp_network(), "embedder.relufc_out"
    with torch.no_grad():
        policy.fc_policy.bias[[0, 2, 6, 8, 9, 10, 11, 12, 13, 14]] = -1e4  # one action is left for each move
    few = levels[:3]
    table = attribute_decision(policy, few, layer=layer, methods=["integrated_gradients"], steps=3)
    _, square, cheese_move, corner_move = decision_squares(few)
    states = few.with_mouse(square)
    shown, blank = (record(policy, each, layer)[layer].numpy() for each in (states, states.without_cheese()))
    action = np.array([1, 7, 5, 3])
    weight = policy.fc_policy.weight.detach().numpy()
    expected = (shown - blank) * (weight[action[cheese_move]] - weight[action[corner_move]])
    np.testing.assert_allclose(table["attribution"].to_numpy().reshape(3, -1), expected, atol=1e-4)


def test_a_wide_gap_and_unknown_methods_are_refused(levels: Levels) -> None:
    with pytest.raises(ValueError, match="take more than 1 steps"):
        attribute_decision(reading(), levels[:4], methods=["integrated_gradients"], steps=1, tolerance=1e-6)
    with pytest.raises(ValueError, match="of integrated_gradients, conductance"):
        attribute_decision(reading(), levels[:2], methods=["saliency"])
    with pytest.raises(ValueError, match="unknown layer"):
        attribute_decision(reading(), levels[:2], layer="nowhere")


def test_attribution_and_ablation_are_correlated_over_channels() -> None:
    ranks = np.arange(6.0)
    attributions = pd.DataFrame(
        {"level": np.repeat([0, 1], 6), "method": "m", "channel": np.tile(np.arange(6), 2)}
        | {"attribution": np.concatenate([ranks**3 - 1, ranks**3 + 1])}
    )
    effects = pd.DataFrame(
        {"ablation": "zero", "set": ["found", *["channel"] * 6], "channels": ["0 1", *"543210"]}
        | {"drop": [9.0, *ranks[::-1]], "log_odds_drop": [9.0, *ranks]}
    )
    table = compare_attribution(attributions, effects).set_index("effect")
    assert table["spearman"].to_dict() == pytest.approx({"drop": 1.0, "log_odds_drop": -1.0})
    assert table.loc["drop", "pearson"] == pytest.approx(np.corrcoef(ranks, ranks**3)[0, 1])
    with pytest.raises(ValueError, match="both must be of one layer"):
        compare_attribution(attributions[attributions["channel"] < 5], effects)


def test_the_picture_marks_where_the_found_set_stands(levels: Levels) -> None:
    effects = ablate_channels(reading(), READ, levels, TRAINING, ablations=["zero", "mean"], random_sets=10)
    first, second = plot_confirmation(effects)
    drops = confirm(effects).query("set == 'found'")["drop"].tolist()
    for ax, drop in zip((first, second), drops, strict=True):
        assert any(np.allclose(line.get_xdata(), drop) for line in ax.lines)
    assert "zero" in first.get_title("left").lower()
    assert "mean" in second.get_title("left").lower()


def test_the_picture_of_attributions_places_each_channel(levels: Levels) -> None:
    policy = reading()
    effects = ablate_channels(policy, READ, levels, TRAINING, ablations=["zero"], random_sets=2)
    attributions = attribute_decision(policy, levels[:4], methods=["integrated_gradients"], steps=100)
    figure, ax = plt.subplots()
    plot_attribution(attributions, effects, [ax])
    others, found = (np.asarray(points.get_offsets()) for points in ax.collections)
    mean = attributions.groupby("channel")["attribution"].mean()
    np.testing.assert_allclose(found[:, 0], mean[list(READ)])
    assert len(others) == CHANNELS - len(READ)
    alone = effects[effects["channels"] == str(READ[0])].iloc[0]
    assert found[0, 1] == pytest.approx(alone["log_odds_drop"])
    plt.close(figure)
    with pytest.raises(ValueError, match="attribute_decision"):
        plot_attribution(pd.DataFrame({"drop": [1.0]}), effects)
