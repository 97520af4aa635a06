"""Linear probes on planted channels: what is there is found, what is not is not, and controls stay controls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from planted import Planted

from mazeinterp import load_policy
from mazeinterp.analysis.probes import KINDS, probe_levels, probe_squares
from mazeinterp.analysis.probing import probing_levels
from mazeinterp.analysis.table import run_policy
from mazeinterp.maze import Levels, observe, shortest_path

CHOOSING, REPORTING = probing_levels(48, "choosing"), probing_levels(40, "reporting")


def beside_the_cheese(levels: Levels) -> Levels:
    """Mazes of side 7, the mouse a step from the cheese: who walks at random finds it."""
    small = levels[levels.maze_dim == 7][:40]
    paths = [shortest_path(level) for level in small]
    return small.with_mouse([path[-2] for path in paths if path is not None])


SMALL_CHOOSING, SMALL_REPORTING = (
    beside_the_cheese(levels) for levels in (probing_levels(600, "choosing"), probing_levels(600, "reporting"))
)


def by_probe(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of one measure, by labels and probe."""
    return table[table["measure"] == measure].set_index(["labels", "probe"]).sort_index()


@pytest.fixture(scope="module")
def squares() -> pd.DataFrame:
    policy = Planted(("noise", "cheese", "noise", "mouse", "noise", "noise"), noise=0.1)
    return probe_squares(policy, CHOOSING, REPORTING, "maps", ("cheese", "mouse", "wall"))


def test_every_kind_is_there_with_its_control(squares: pd.DataFrame) -> None:
    assert len(squares) == 2 * len(KINDS) * (2 + 2 + 1)  # auc and near, but for walls
    assert set(squares["labels"]) == {"true", "shuffled"}
    assert (squares["low"] <= squares["estimate"]).all()
    assert (squares["estimate"] <= squares["high"]).all()


@pytest.mark.parametrize("thing", ["cheese", "mouse"])
def test_what_a_channel_tells_is_read_off(squares: pd.DataFrame, thing: str) -> None:
    rows = squares[squares["target"] == thing]
    auc, near = by_probe(rows, "auc"), by_probe(rows, "near")
    assert (auc.loc["true", "estimate"] > 0.95).all()
    assert (near.loc["true", "estimate"] > 0.85).all()
    assert (auc.loc["shuffled", "estimate"] < 0.85).all()
    assert (near.loc["shuffled", "estimate"] < 0.6).all()
    assert near["n"].unique().tolist() == [40]
    assert near["chance"].between(0.02, 0.04).all()  # nine cells of 256, fewer at the edge


def test_what_no_channel_tells_is_not_read_off(squares: pd.DataFrame) -> None:
    auc = by_probe(squares[squares["target"] == "wall"], "auc")
    assert auc["estimate"].between(0.44, 0.56).all()
    assert (auc["chance"] == 0.5).all()


def test_sparse_probes_use_few_channels(squares: pd.DataFrame) -> None:
    auc = by_probe(squares[squares["target"] == "cheese"], "auc")
    assert auc.loc[("true", "full"), "nonzero"] == 6
    assert auc.loc[("true", "sparse"), "nonzero"] <= 3
    assert (auc["channels"] == 6).all()


def test_directions_are_compared() -> None:
    one = Planted(("cheese", "dead", "dead"), noise=0.02)
    auc = by_probe(probe_squares(one, CHOOSING, REPORTING, "maps", ["cheese"]), "auc").loc["true"]
    assert auc.loc["full", "cosine"] == pytest.approx(1)
    assert (auc["cosine"] > 0.98).all()  # one channel tells it, so that all directions are that channel


def test_the_same_seed_gives_the_same_probes(squares: pd.DataFrame) -> None:
    policy = Planted(("noise", "cheese", "noise", "mouse", "noise", "noise"), noise=0.1)
    again = probe_squares(policy, CHOOSING, REPORTING, "maps", ["cheese"])
    pd.testing.assert_frame_equal(again, squares[squares["target"] == "cheese"].reset_index(drop=True))


def test_success_is_read_off_what_it_rests_on() -> None:
    policy = Planted(("noise", "bright", "noise"), noise=0.1)  # it walks on bright backgrounds only
    table = probe_levels(policy, SMALL_CHOOSING, SMALL_REPORTING, ["features"], ["success"])
    accuracy = by_probe(table, "accuracy")
    assert (accuracy.loc["true", "estimate"] > accuracy["chance"].iloc[0] + 0.1).all()
    assert (accuracy.loc["shuffled", "estimate"] < accuracy.loc["true", "estimate"] - 0.1).all()
    assert accuracy.loc[("true", "sparse"), "nonzero"] <= 2
    assert accuracy.loc[("true", "means"), "cosine"] > 0.8


def test_the_move_is_read_off_the_logits_and_not_off_shuffled_ones() -> None:
    policy = load_policy("rand_region_5")
    table = probe_levels(policy, CHOOSING, REPORTING, "fc_policy_out", ["move"])
    accuracy = by_probe(table, "accuracy")
    moves, _ = run_policy(policy, observe(REPORTING), REPORTING, np.arange(len(REPORTING)))
    chance = np.bincount(moves.argmax(axis=1)).max() / len(REPORTING)
    assert (accuracy["chance"] == chance).all()
    assert accuracy.loc[("true", "full"), "estimate"] > chance + 0.3
    assert (accuracy.loc["shuffled", "estimate"] < chance + 0.15).all()
    assert accuracy["cosine"].isna().all()


def test_layers_with_many_units_are_screened_for_sparse_probes() -> None:
    policy = Planted(("noise", "bright"), noise=0.1)
    accuracy = by_probe(probe_levels(policy, SMALL_CHOOSING, SMALL_REPORTING, "maps", ["success"]), "accuracy")
    assert accuracy.loc[("true", "full"), "nonzero"] == accuracy["channels"].iloc[0] == 512
    assert accuracy.loc[("true", "sparse"), "nonzero"] <= 256
    assert accuracy.loc[("true", "sparse"), "estimate"] > accuracy["chance"].iloc[0] + 0.1


def test_bad_input_is_refused() -> None:
    policy = Planted(("cheese",))
    with pytest.raises(ValueError, match="unknown thing 'cat'"):
        probe_squares(policy, CHOOSING, REPORTING, "maps", ["cat"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="features has no cells"):
        probe_squares(policy, CHOOSING, REPORTING, "features")
    with pytest.raises(ValueError, match="unknown target 'mood'"):
        probe_levels(policy, CHOOSING, REPORTING, "maps", ["mood"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="too few to split"):
        probe_levels(policy, CHOOSING, CHOOSING, "maps")
    dark = CHOOSING[CHOOSING.background <= 4]
    with pytest.raises(ValueError, match="all levels for choosing have the same success"):
        probe_levels(policy, dark, REPORTING, "maps", ["success"])
