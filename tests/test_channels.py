"""Channels: what is measured of them on planted ones, the null, cheese channels found exactly, overlap, read-outs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from planted import Planted, cheese_network
from sklearn.metrics import roc_auc_score

from mazeinterp import Level, Levels, load_policy
from mazeinterp.analysis.channel_measures import channel_scores, measure_channels
from mazeinterp.analysis.channel_overlap import match_channels, overlap
from mazeinterp.analysis.channels import (
    CheeseChannels,
    channel_table,
    find_cheese_channels,
    null_scores,
    null_thresholds,
    pass_rates,
    untrained_networks,
)
from mazeinterp.analysis.probing import THINGS, masks_of, moved_cheese, probing_levels, split_by_maze
from mazeinterp.analysis.readout import fit_readout, readout_accuracy
from mazeinterp.edits import adapt, cell_of
from mazeinterp.maze import corner, shortest_path
from mazeinterp.policy import ImpalaPolicy

LEVELS = probing_levels(64, "choosing")
REPORTING = probing_levels(64, "reporting")
FEW_UNTRAINED = [ImpalaPolicy(1, seed=seed) for seed in range(6)]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the null is kept, so that it is measured once for the whole file."""
    return tmp_path_factory.mktemp("null")


def scores_of(policy: Planted, levels: Levels = LEVELS) -> pd.DataFrame:
    """Estimates by planted channel and measure."""
    scores = channel_scores(measure_channels(policy, levels, "maps"))
    wide = scores.pivot(index="channel", columns="measure", values="estimate")
    wide.index = list(policy.channels)
    return wide


# Levels


def test_levels_to_probe_with_keep_the_splits_apart() -> None:
    assert (LEVELS.seed >= 500_000).all()
    assert (LEVELS.seed < 1_000_000).all()
    assert (REPORTING.seed < 500_000).all()
    for levels in (LEVELS, REPORTING):
        assert (levels.maze_dim >= 7).all()
        assert (levels.cheese >= 0).all()
        assert (levels.mouse != levels.cheese).any(axis=1).all()
        starts = Levels.from_seeds(levels.seed).mouse
        assert (levels.mouse != starts).any(axis=1).mean() > 0.8


def test_a_levels_mouse_and_cheese_do_not_depend_on_its_company() -> None:
    few = probing_levels(5, "choosing")
    assert [str(level) for level in few] == [str(level) for level in LEVELS[:5]]
    moved = moved_cheese(LEVELS)
    np.testing.assert_array_equal(moved_cheese(LEVELS[3:5]).cheese, moved.cheese[3:5])
    assert (probing_levels(64, "choosing", seed=1).mouse != LEVELS.mouse).any()


def test_the_cheese_moves_far_and_nothing_else_does() -> None:
    moved = moved_cheese(LEVELS)
    steps = np.abs(moved.cheese - LEVELS.cheese).max(axis=1)
    assert (steps >= (LEVELS.maze_dim - 1) // 2).all()
    np.testing.assert_array_equal(moved.grid == 1, LEVELS.grid == 1)
    np.testing.assert_array_equal(moved.mouse, LEVELS.mouse)
    assert (moved.cheese != moved.mouse).any(axis=1).all()


def test_a_maze_is_on_one_side_of_the_split_only() -> None:
    choosing, reporting = split_by_maze(LEVELS, Levels.stack([*REPORTING[:3], *moved_cheese(LEVELS[:5])]))
    assert len(choosing) == len(LEVELS)
    assert reporting.seed.tolist() == REPORTING.seed[:3].tolist()


def test_bad_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown split 'training'; one of choosing, reporting"):
        probing_levels(4, "training")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n is 0"):
        probing_levels(0, "choosing")
    with pytest.raises(ValueError, match=r"64 levels for choosing and 0 .* too few to split"):
        split_by_maze(LEVELS, LEVELS)
    with pytest.raises(ValueError, match="level 0 has no cheese"):
        measure_channels(Planted(("cheese",)), LEVELS.without_cheese(), "maps")
    with pytest.raises(ValueError, match="two levels at least"):
        measure_channels(Planted(("cheese",)), LEVELS[:1], "maps")


# Measures


def test_masks_are_where_things_are() -> None:
    masks = masks_of(LEVELS[:8])
    for i, level in enumerate(LEVELS[:8]):
        squares = {thing: {(x, y) for y, x in np.argwhere(mask[i]).tolist()} for thing, mask in masks.items()}
        path = shortest_path(level)
        assert path is not None
        end = tuple(corner(level)[0].tolist())
        low, high = level.margin, level.world - level.margin
        assert squares["cheese"] == {level.cheese}
        assert squares["mouse"] == {level.mouse}
        assert squares["path"] == set(path[1:-1])
        assert squares["corner"] == {end} - {level.cheese, level.mouse}
        assert squares["wall"] == {(x, y) for x in range(low, high) for y in range(low, high) if level.grid[y, x] == 1}


def test_planted_channels_score_what_they_do() -> None:
    names = ("cheese", "-cheese", "beside", "mouse", "place", "dead", "noise")
    scores = scores_of(Planted(names))
    for name in ("cheese", "-cheese"):
        assert scores.loc[name, ["tracks", "located", "follows", "peak_error", "auc_cheese"]].tolist() == [
            1,
            1,
            1,
            0,
            1,
        ]
    assert scores.loc["beside", "follows"] > 0.9
    assert scores.loc["beside", "tracks"] < 0.1
    assert 1.8 < scores.loc["beside", "peak_error"] <= 2
    assert scores.loc["mouse", "auc_mouse"] == 1
    assert scores.loc["mouse", "tracks"] == 0
    assert scores.loc[["mouse", "place", "dead"], "follows"].max() == 0
    assert scores.loc["noise", "tracks"] < 0.05
    assert scores.loc["noise", "auc_cheese"] < 0.6
    assert scores.loc["dead"].filter(like="auc").tolist() == [0.5] * 5


def test_the_better_extreme_counts_or_the_one_that_was_chosen() -> None:
    measured = measure_channels(Planted(("cheese", "-cheese")), LEVELS, "maps", things=())
    chosen = channel_scores(measured).query("measure == 'tracks'")
    assert chosen["extreme"].tolist() == ["max", "min"]
    assert chosen["estimate"].tolist() == [1, 1]
    signs = pd.DataFrame({"layer": "maps", "channel": [0, 1], "extreme": "max"})
    given = channel_scores(measured, signs).query("measure == 'tracks'")
    assert given["estimate"].iloc[0] == 1
    assert given["estimate"].iloc[1] < 0.1
    with pytest.raises(ValueError, match="the signs lack channel 1 of maps"):
        channel_scores(measured, signs[:1])


def test_aucs_are_those_of_scikit_learn() -> None:
    levels, policy = LEVELS[:6], Planted(("noise", "cheese"), noise=0.5)
    measured = measure_channels(policy, levels, "maps", things=("wall", "path", "cheese"))
    maps, masks = policy.maps(levels), masks_of(levels)
    for row in measured.itertuples():
        level = levels[int(row.level)]
        cells = np.array([[cell_of((x, y), 16) for x in range(level.world)] for y in range(level.world)])
        values = maps[row.level, row.channel][cells[..., 0], cells[..., 1]]
        for thing in ("wall", "path", "cheese"):
            there = masks[thing][row.level]  # type: ignore[index]
            if not there.any():
                assert np.isnan(getattr(row, f"auc_{thing}"))
                continue
            others = (level.grid != 1) & ~there
            if thing == "cheese":
                assert level.cheese is not None
                others &= (cells != cell_of(level.cheese, 16)).any(axis=2)
            auc = roc_auc_score(there[there | others], values[there | others])
            assert getattr(row, f"auc_{thing}") == pytest.approx(auc, abs=1e-6)


def test_chance_is_what_another_levels_cheese_gives() -> None:
    scores = channel_scores(measure_channels(Planted(("cheese", "place")), LEVELS, "maps", things=()))
    chance = scores.set_index(["channel", "measure"])["chance"]
    assert chance[0, "located"] < 0.25
    assert chance[0, "peak_error"] > 2
    place = scores.set_index(["channel", "measure"])["estimate"]
    assert chance[1, "located"] == pytest.approx(place[1, "located"])  # the same cheeses, in another order


def test_intervals_are_wilsons_and_students() -> None:
    scores = channel_scores(measure_channels(Planted(("noise",)), LEVELS, "maps"))
    row = scores.set_index("measure").loc["auc_cheese"]
    values = measure_channels(Planted(("noise",)), LEVELS, "maps")["auc_cheese"].to_numpy()
    reach = 1.998 * values.std(ddof=1) / 8  # Student's t of 63 degrees of freedom
    assert row["high"] - row["estimate"] == pytest.approx(reach, rel=1e-3)
    located = scores.set_index("measure").loc["located"]
    assert 0 <= located["low"] < located["estimate"] + 1e-9
    assert located["n"] == 64


def test_moves_of_fewer_than_three_cells_do_not_count() -> None:
    measured = measure_channels(Planted(("place",)), LEVELS, "maps", things=())
    near = measured.assign(moved=measured["moved"].clip(upper=2))
    with pytest.raises(ValueError, match="no level moves the cheese by 3 cells of maps"):
        channel_scores(near)


def test_layers_without_cells_and_unknown_things_are_refused() -> None:
    with pytest.raises(ValueError, match="features has no cells"):
        measure_channels(Planted(("cheese",)), LEVELS, "features")
    with pytest.raises(ValueError, match="unknown thing 'cat'"):
        measure_channels(Planted(("cheese",)), LEVELS, "maps", things=("cat",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"unknown layer 'embedder\.block2'"):
        measure_channels(FEW_UNTRAINED[0], LEVELS, "embedder.block2")


@dataclass(frozen=True)
class Counting(Planted):
    """A planted policy that counts its passes."""

    passes = []  # noqa: RUF012

    def __call__(self, obs: Any, **given: Any) -> Any:
        self.passes.append(len(obs))
        return super().__call__(obs, **given)


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    first = measure_channels(Counting(("cheese", "noise")), LEVELS, "maps", folder=tmp_path)
    passes = sum(Counting.passes)
    assert passes == 3 * len(LEVELS)  # mean maps, before, after
    again = measure_channels(Counting(("cheese", "noise")), LEVELS, "maps", folder=tmp_path)
    assert sum(Counting.passes) - passes == len(LEVELS)  # the mean maps
    pd.testing.assert_frame_equal(first, again, check_categorical=False, check_dtype=False)


# The null, and finding


def test_thresholds_are_the_99th_percentile_of_maxima() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((20, 2, 8))
    network, layer, channel = np.indices(scores.shape).reshape(3, -1)
    null = pd.DataFrame({"network": network, "layer": np.array(["a", "b"])[layer], "channel": channel})
    null["score"] = scores.ravel()
    found = null_thresholds(null)
    for i, name in enumerate("ab"):
        assert found[name] == pytest.approx(np.quantile(scores[:, i].max(axis=1), 0.99))
    rates = pass_rates(null, found).set_index("layer")
    assert rates.loc["a", "estimate"] == 1 / 160
    assert rates.loc["a", "passing"] == 1
    assert rates.loc["a", "networks"] == 20


def test_a_hand_made_cheese_channel_is_found_exactly(kept: Path) -> None:
    found = find_cheese_channels(cheese_network(channel=5), levels=LEVELS, untrained=FEW_UNTRAINED, folder=kept)
    assert found.channels == (5,)
    assert found.scores[5] > 0.7 > 2 * found.threshold
    assert len(found.null) == 6
    steps = moved_cheese(LEVELS).cheese, LEVELS.cheese
    cells = [np.array([cell_of(tuple(square), 16) for square in squares.tolist()]) for squares in steps]
    assert found.counted == (np.abs(cells[0] - cells[1]).max(axis=1) >= 3).sum() < len(LEVELS)
    assert found.threshold == pytest.approx(np.quantile(found.null, 0.99))
    frame = found.to_frame()
    assert frame["found"].tolist() == [True] + [False] * 31
    assert frame["channel"].iloc[0] == 5


def test_a_network_without_cheese_channels_has_none(kept: Path) -> None:
    found = find_cheese_channels(ImpalaPolicy(1, seed=100), levels=LEVELS, untrained=FEW_UNTRAINED, folder=kept)
    assert found.channels == ()
    assert found.scores.shape == (32,)
    blind = cheese_network(channel=5)
    with torch.no_grad():
        blind.embedder.block1.conv.weight[0] = 0
    assert find_cheese_channels(blind, levels=LEVELS, untrained=FEW_UNTRAINED, folder=kept).channels == ()
    with pytest.raises(ValueError, match="no channel to read"):
        fit_readout(blind, found.channels, LEVELS, found.layer)


def test_untrained_networks_are_of_the_policys_width() -> None:
    fresh = untrained_networks(ImpalaPolicy(2, seed=3), [7])
    assert fresh[0].width == 2
    torch.testing.assert_close(fresh[0].fc_policy.weight, ImpalaPolicy(2, seed=7).fc_policy.weight)
    with pytest.raises(TypeError, match="what an untrained AdaptedModule is"):
        untrained_networks(adapt(torch.nn.Flatten()), [0])
    with pytest.raises(ValueError, match="32 channels, and 64 in untrained network 0"):
        find_cheese_channels(FEW_UNTRAINED[0], levels=LEVELS[:8], untrained=[ImpalaPolicy(2)])
    with pytest.raises(ValueError, match="no untrained networks"):
        null_scores(FEW_UNTRAINED[0], LEVELS, "embedder.block2.conv_out", untrained=[])


def test_the_table_reports_on_other_mazes_than_it_chooses_on() -> None:
    policy = Planted(("cheese", "-cheese", "noise"))
    null = [Planted(("noise",) * 3, seed=seed) for seed in range(1, 5)]
    table = channel_table(policy, LEVELS, Levels.stack([*REPORTING, *LEVELS[:4]]), "maps", untrained=null)
    tracks = table.query("measure == 'tracks'").set_index("channel")
    assert tracks["found"].tolist() == [True, True, False]
    assert tracks["extreme"].tolist()[:2] == ["max", "min"]
    assert table.query("measure == 'located'")["n"].unique().tolist() == [64]
    assert tracks["threshold"].nunique() == 1
    assert tracks["chosen_score"].tolist()[:2] == [1, 1]
    assert set(table["measure"]) == {"tracks", "located", "follows", "peak_error"} | {
        f"auc_{thing}" for thing in THINGS
    }


# Overlap


def finding(*channels: int, policy: str = "a", layer: str = "maps") -> CheeseChannels:
    return CheeseChannels(layer, channels, np.zeros(10), ("max",) * 10, 0.5, np.zeros(3), LEVELS, 60, policy)


def test_overlap_counts_shared_channels() -> None:
    both = overlap(finding(1, 2, 3), finding(3, 2, 9))
    assert both.shared == (2, 3)
    assert both.jaccard == 0.5
    assert both.by_chance == pytest.approx(0.9)
    assert np.isnan(overlap(finding(), finding()).jaccard)
    pairs = pd.DataFrame({"channel": range(10), "partner": [*range(1, 10), 0]})
    assert overlap(finding(1, 2), finding(2, 7, policy="b"), pairs).shared == (1,)
    with pytest.raises(ValueError, match="give the pairs"):
        overlap(finding(1), finding(1, policy="b"))
    with pytest.raises(ValueError, match="do not overlap"):
        overlap(finding(1), finding(1, layer="others"))


def test_channels_in_another_order_are_matched() -> None:
    policy = ImpalaPolicy(1, seed=4)
    order = np.random.default_rng(0).permutation(32)
    other = ImpalaPolicy(1, seed=4)
    with torch.no_grad():
        for module in (other.embedder.block2.conv, other.embedder.block2.res1.conv2):
            module.weight.copy_(module.weight[order].clone())
        conv = other.embedder.block2.res1.conv1
        conv.weight.copy_(conv.weight[:, order].clone())
    pairs = match_channels(policy, other, LEVELS[:8])
    np.testing.assert_array_equal(order[pairs["partner"]], pairs["channel"])
    assert pairs["correlation"].min() > 0.999
    with pytest.raises(ValueError, match="only networks of one size match"):
        match_channels(policy, ImpalaPolicy(2), LEVELS[:2])


def test_two_sets_of_levels_find_the_same() -> None:
    policy, null = Planted(("noise", "cheese", "noise")), [Planted(("noise",) * 3, seed=seed) for seed in range(1, 13)]
    one, other = (
        find_cheese_channels(policy, "maps", levels=part, untrained=null) for part in (LEVELS[:32], LEVELS[32:])
    )
    assert one.channels == other.channels == (1,)
    assert overlap(one, other).jaccard == 1


# Read-outs


def test_a_read_out_weighs_channels() -> None:
    policy = Planted(("mouse", "-cheese", "noise"), noise=0.1)
    readout = fit_readout(policy, [0, 1], LEVELS, "maps", reach=0)
    assert readout.weights.shape == (2, 1, 1)
    assert readout.weights[1] < 0
    assert abs(readout.weights[0]) < abs(readout.weights[1]) / 3
    located = readout.locate(policy, REPORTING)
    assert (located["error"] == 0).all()
    assert readout_accuracy(located).estimate == 1
    expected = [cell_of(level.cheese, 16) for level in REPORTING if level.cheese is not None]
    assert list(zip(located["cheese_row"], located["cheese_column"], strict=True)) == expected
    blind = replace(policy, channels=("mouse", "dead", "noise"))
    assert readout_accuracy(readout.locate(blind, REPORTING)).estimate < 0.2


def test_a_read_out_looks_at_the_cells_around() -> None:
    policy = Planted(("beside",), noise=0.1)
    near = fit_readout(policy, [0], LEVELS, "maps", reach=2)
    assert np.unravel_index(near.weights.argmax(), near.weights.shape) == (0, 4, 2)  # two cells below
    located = near.locate(policy, REPORTING)
    inside = located["cheese_row"] < 14  # further down, two cells below is outside
    assert inside.sum() > 50
    assert (located["error"][inside] == 0).mean() > 0.95  # the noise takes some
    alone = fit_readout(policy, [0], LEVELS, "maps", reach=0).locate(policy, REPORTING)
    assert alone["near"][inside].mean() < 0.2


def test_a_read_out_of_channels_that_are_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="maps has channels 0 to 0, no 3"):
        fit_readout(Planted(("cheese",)), [3], LEVELS, "maps")
    with pytest.raises(ValueError, match="reach is -1; 0 reads the cell alone"):
        fit_readout(Planted(("cheese",)), [0], LEVELS, "maps", reach=-1)
    with pytest.raises(ValueError, match="features has no cells"):
        fit_readout(Planted(("cheese",)), [0], LEVELS, "features")
    with pytest.raises(ValueError, match="level 0 has no cheese"):
        fit_readout(Planted(("cheese",)), [0], Level.from_seed(1).without_cheese(), "maps")


def test_the_cheese_channels_of_the_shipped_network_place_the_cheese(kept: Path) -> None:
    policy = load_policy("rand_region_5")
    found = find_cheese_channels(policy, levels=LEVELS, untrained=FEW_UNTRAINED, folder=kept)
    assert 1 <= len(found.channels) <= 8
    readout = fit_readout(policy, found.channels, LEVELS, found.layer)
    assert readout_accuracy(readout.locate(policy, REPORTING)).estimate >= 0.9
