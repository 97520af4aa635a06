"""Causal scrubbing against policies that are patched by hand, and its table on numbers written down."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hand_made import corridor, sharp_network

from mazeinterp.analysis import arrow_change, scrubbing, total_variation, vector_field
from mazeinterp.analysis.scrubbing import compare_scrubbing, donor_states, scrub
from mazeinterp.edits import DEFAULT_LAYER, Patch, average, edited
from mazeinterp.maze import Levels, distances
from mazeinterp.plots.scrubbing import plot_scrubbing

EASY = Levels.from_seeds(range(30), "easy")
EASY = EASY[EASY.maze_dim >= 7][:3]
DONORS = Levels.from_seeds(range(500_000, 500_200), "easy")


# Donors


def test_donors_differ_in_the_cheeses_place_alone() -> None:
    for level in EASY:
        same, another = donor_states(level, DONORS, 12, seed=0)
        assert {tuple(square) for square in same.cheese.tolist()} == {level.cheese}
        assert (another.cheese != same.cheese).any(axis=1).all()
        np.testing.assert_array_equal(same.mouse, another.mouse)
        np.testing.assert_array_equal(same.grid == 1, another.grid == 1)
        assert not ((same.grid == 1) == (level.grid == 1)).all(axis=(1, 2)).any()
        assert not same.reflected.any()
        assert not another.reflected.any()
        for batch in (same, another):
            assert (batch.mouse != batch.cheese).any(axis=1).all()
            steps = distances(batch, batch.cheese)
            assert (steps[np.arange(12), batch.mouse[:, 1], batch.mouse[:, 0]] > 0).all()
            assert (batch.background == same.background).all()
        assert len(np.unique(same.seed)) > 3  # not one maze for all channels


def test_donors_depend_on_the_seed_and_the_level_alone() -> None:
    first, again, other = (donor_states(EASY[1], DONORS, 5, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.grid, again.grid)
    assert (first.grid != other.grid).any()
    one, all_three = (scrub(sharp_network(), (1, 2), part, donors=DONORS, random_sets=1) for part in (EASY[1], EASY))
    np.testing.assert_allclose(
        one[["total_variation", "arrow_change"]],
        all_three[all_three["level"] == 1][["total_variation", "arrow_change"]],
        rtol=1e-5,
    )


def test_levels_without_a_donor_are_refused() -> None:
    with pytest.raises(ValueError, match=r"none of the 1 donors has other walls and \(\d+, \d+\).*give more donors"):
        donor_states(EASY[0], EASY[:1], 2, seed=0)
    walled = corridor("M.#C")
    with pytest.raises(ValueError, match="in the mouse's reach"):
        donor_states(corridor("M..C"), Levels.stack(walled), 2, seed=0)
    with pytest.raises(ValueError, match="donors are hard, the level is easy"):
        donor_states(EASY[0], Levels.from_seeds(range(3)), 2, seed=0)


# Scrubbing


def test_changes_are_those_of_the_patched_policy() -> None:
    policy, level = sharp_network(), EASY[0].with_reflected(True)
    results = scrub(policy, (4, 9, 2), level, donors=DONORS, random_sets=2, seed=3)
    assert len(results) == 6
    assert results["set"].tolist().count("found") == 2
    before = vector_field(policy, level)
    for place, donors in zip(
        ("same place", "another place"), donor_states(level.with_reflected(False), DONORS, 3, 3), strict=True
    ):
        for row in results[results["place"] == place].itertuples():
            channels = [int(channel) for channel in row.channels.split()]
            patches = [
                Patch(average(policy, donors[j], DEFAULT_LAYER), channel=channel) for j, channel in enumerate(channels)
            ]
            after = vector_field(edited(policy, *patches), level)
            assert row.total_variation == pytest.approx(float(np.nanmean(total_variation(before, after))), rel=1e-4)
            assert row.arrow_change == pytest.approx(arrow_change(before, after), rel=1e-4)
            assert row.total_variation > 1e-4


def test_channels_that_nothing_reads_can_come_from_anywhere() -> None:
    policy = sharp_network()
    with torch.no_grad():
        for name in ("embedder.block2.res2.conv1", "embedder.block3.conv"):
            policy.get_submodule(name).weight[:, [5, 6]] = 0
    results = scrub(policy, (5, 6), EASY, donors=DONORS, random_sets=2)
    found = results["set"] == "found"
    np.testing.assert_allclose(results[found][["total_variation", "arrow_change"]], 0, atol=1e-6)
    assert (results[~found]["total_variation"] > 1e-4).all()


def test_kept_work_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = scrubbing.donor_states
    monkeypatch.setattr(scrubbing, "donor_states", lambda *a: calls.append(1) or original(*a))
    first, again = (
        scrub(sharp_network(), (1,), EASY[:2], donors=DONORS, random_sets=1, folder=tmp_path) for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": (32,)}, "channels 0 to 31, no 32"),
        ({"channels": range(17)}, "choose at most half"),
        ({"channels": ()}, "give at least one"),
        ({"layer": "embedder.block2.res1.conv2_out"}, "alone does not tell"),
        ({"layer": "embedder.block9.conv_out"}, "unknown layer"),
        ({"random_sets": 0}, "at least one random set"),
        ({"levels": EASY.without_cheese()}, "level 0 has no cheese"),
        ({"donors": (500_000, 500_000)}, "no reference levels"),
    ],
)
def test_bad_scrubbing_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scrub(sharp_network(), **({"channels": (1,), "levels": EASY, "donors": DONORS} | arguments))


# Its table and picture


def written() -> pd.DataFrame:
    """Twelve levels: the found set minds the place by 0.02 or 0.03, of two random sets neither does."""
    rows = []
    for level in range(12):
        for place, extra in (("same place", 0.0), ("another place", 0.02 + 0.01 * (level % 2))):
            for name, draw, value in (("found", 0, 0.01 + extra), ("random", 0, 0.05), ("random", 1, 0.07)):
                rows.append((name, draw, "1", place, level, level, 9 if level else 5, value, value / 10))
    columns = ["set", "draw", "channels", "place", "level", "seed", "maze_dim", "total_variation", "arrow_change"]
    return pd.DataFrame(rows, columns=columns)


def test_the_table_pairs_places_and_sets_by_level() -> None:
    table = compare_scrubbing(written()).set_index(["measure", "set", "place"]).sort_index()
    assert set(table["n"]) == {11}  # the maze of side 5 is left out
    extra = np.mean([0.02 + 0.01 * (level % 2) for level in range(1, 12)])
    found, random = table.loc["total_variation", "found"], table.loc["total_variation", "random"]
    assert found.loc["same place", "estimate"] == pytest.approx(0.01)
    assert found.loc["another − same", "estimate"] == pytest.approx(extra)
    assert found.loc["another − same", "low"] > 0
    assert found.loc["another − same", "p_holm"] < 0.05
    assert random.loc["same place", "estimate"] == pytest.approx(0.06)
    assert random.loc["another − same", "p_value"] == 1
    both = table.loc["total_variation", "found − random"]
    assert both.loc["same place", "estimate"] == pytest.approx(-0.05)
    assert both.loc["another − same", "estimate"] == pytest.approx(extra)
    assert table.loc[("arrow_change", "found", "another − same"), "estimate"] == pytest.approx(extra / 10)
    assert table["p_value"].isna().sum() == 2 * 4
    with pytest.raises(ValueError, match="1 levels are of side 7"):
        compare_scrubbing(written().query("level < 2"))


def test_the_picture_has_both_places_of_both_sets() -> None:
    ax = plot_scrubbing(compare_scrubbing(written()), subtitle="a network")
    heights = [line.get_ydata().tolist() for line in ax.lines if len(line.get_ydata()) == 2]
    assert [pytest.approx(1.0), pytest.approx(6.0)] in heights
    assert ax.get_ylim()[0] == 0
    with pytest.raises(ValueError, match="no row has the measure"):
        plot_scrubbing(compare_scrubbing(written()), measure="success")
    plt.close("all")
