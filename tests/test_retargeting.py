"""Retargeting against edited policies' vector fields, and its tables on numbers written down."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from hand_made import corridor, sharp_network
from support import steps_to

from mazeinterp.analysis import path_probabilities, retargeting, vector_field
from mazeinterp.analysis.retargeted import compare_retargeting, retargeting_by
from mazeinterp.analysis.retargeting import best_clamps, retarget, retargeting_sets, value_sweep
from mazeinterp.edits import DEFAULT_LAYER, Clamp, cell_of, edited, record
from mazeinterp.maze import Level, Levels, corner, shortest_path
from mazeinterp.plots.retargeting import plot_retargeting_by, plot_retargeting_maps, plot_value_sweep

SMALL = Levels.from_seeds(range(40), "easy")
SMALL = SMALL[SMALL.maze_dim == 5][:3]
LOOP = Level.from_seed(1, "easy").without_walls([(x, y) for x in range(4, 9) for y in (5, 7)]).with_mouse((7, 7))


@pytest.fixture(autouse=True)
def _close() -> Any:
    yield
    plt.close("all")


# Measuring


@pytest.mark.parametrize("level", [SMALL[0], SMALL[1].with_reflected(True), LOOP])
def test_path_probabilities_are_those_of_the_clamped_policy(level: Level) -> None:
    policy = sharp_network()
    clamps = {"two": [{3: 4.0, 9: -2.0}], "either": [{1: 6.0}, {20: 3.0}]}
    results = retarget(policy, level, clamps, targets=9, seed=1)
    blank = level.without_cheese()
    assert len(results) == 4 * min(9, len(results.drop_duplicates(["x", "y"])))

    def expected(target: tuple[int, int], *edits: Clamp, shown: Level = blank) -> float:
        return float(path_probabilities(vector_field(edited(policy, *edits), shown))[target[::-1]])

    for row in results.itertuples():
        target = (row.x, row.y)
        if row.condition == "no edit":
            known = expected(target)
        elif row.condition == "cheese moved":
            known = expected(target, shown=blank.with_cheese(target))
        else:
            each = [
                expected(target, *(Clamp(channel=c, at=target, value=v) for c, v in one.items()))
                for one in clamps[row.condition]
            ]
            known = float(np.mean(each))
        assert row.probability == pytest.approx(known, rel=1e-4, abs=1e-7)


def test_targets_are_told_apart_by_their_distances() -> None:
    results = retarget(sharp_network(), [*SMALL, LOOP], {}, targets=None)
    for i, part in results[results["condition"] == "no edit"].groupby("level"):
        level = [*SMALL, LOOP][int(i)]
        steps = steps_to(level, level.mouse)
        ways = [steps_to(level, square) for square in shortest_path(level, goal=tuple(corner(level)[0].tolist()))]
        reached = np.argwhere(np.isfinite(steps) & (steps > 0))
        assert sorted(zip(part["y"], part["x"], strict=True)) == sorted(map(tuple, reached.tolist()))
        np.testing.assert_array_equal(part["steps"], steps[part["y"], part["x"]])
        np.testing.assert_array_equal(part["off_path"], np.min(ways, axis=0)[part["y"], part["x"]])
    assert results["maze_dim"].tolist()[0] == 5


def test_drawn_targets_differ_and_follow_the_seed() -> None:
    policy, levels = sharp_network(), Levels.from_seeds(range(6), "easy")
    first, again, other = (retarget(policy, levels, {}, targets=3, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first[["x", "y"]].equals(other[["x", "y"]])
    assert (first.drop_duplicates(["condition", "level", "x", "y"]).groupby(["condition", "level"]).size() == 3).all()
    assert list(dict.fromkeys(first["condition"])) == ["no edit", "cheese moved"]


def test_a_channel_that_nothing_reads_steers_nothing() -> None:
    policy = sharp_network()
    with torch.no_grad():
        policy.get_submodule("embedder.block2.res2.conv1").weight[:, 7] = 0
        policy.get_submodule("embedder.block3.conv").weight[:, 7] = 0
    wide = retarget(policy, SMALL, {"deaf": [{7: 50.0}], "heard": [{8: 50.0}]}, targets=4).pivot(
        index=["level", "x", "y"], columns="condition", values="probability"
    )
    np.testing.assert_allclose(wide["deaf"], wide["no edit"], rtol=1e-5)
    assert not np.allclose(wide["heard"], wide["no edit"], rtol=1e-2)


def test_only_the_paths_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = retargeting.resumed_moves
    monkeypatch.setattr(retargeting, "resumed_moves", lambda *a: seen.append(len(a[1])) or original(*a))
    results = retarget(sharp_network(), SMALL[0], {"one": [{1: 2.0}]}, targets=2)
    steps = results[results["condition"] == "no edit"]["steps"]
    assert seen[0] <= steps.sum()
    assert seen[1] == steps.sum()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            (0, 0),
            r"target \(0, 0\) of level 0 is a wall.*take \(\d+, \d+\), the nearest, or open it with",
        ),
        ((99, 1), "outside the 15 × 15 world"),
        (SMALL[0].mouse, "is where the mouse stands"),
    ],
)
def test_bad_targets_are_refused(target: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retarget(sharp_network(), SMALL[0], {}, targets=[target])


def test_targets_out_of_reach_are_refused() -> None:
    level = corridor("M.#..")
    with pytest.raises(ValueError, match=r"target \(4, 1\) of level 0 is cut off.*take \(2, 1\)"):
        retarget(sharp_network(), level, {}, targets=[(4, 1)])
    with pytest.raises(ValueError, match="can go nowhere"):
        retarget(sharp_network(), corridor("M#.."), {}, targets=None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clamps": {"no edit": [{1: 1.0}]}}, "measured without being asked for"),
        ({"clamps": {"set": []}}, "needs a clamp with a channel"),
        ({"clamps": {"set": [{}]}}, "needs a clamp with a channel"),
        ({"clamps": {"set": [{32: 1.0}]}}, "channels 0 to 31, no 32"),
        ({"layer": "embedder.fc_out"}, "no cells to clamp"),
        ({"layer": "embedder.block4.conv_out"}, "unknown layer"),
        ({"targets": 0}, "at least one square"),
    ],
)
def test_bad_clamps_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retarget(sharp_network(), SMALL, **({"clamps": {"set": [{1: 1.0}]}} | arguments))


# Choosing


def test_sets_are_the_first_all_and_as_many_others() -> None:
    sets = retargeting_sets(sharp_network(), (9, 3, 4), random_sets=4, seed=1)
    assert sets["one channel"] == [(9,)]
    assert sets["found set"] == [(9, 3, 4)]
    drawn = sets["random channels"]
    assert len(drawn) == 4
    assert all(len(set(row)) == 3 and not set(row) & {9, 3, 4} for row in drawn)
    assert sets == retargeting_sets(sharp_network(), (9, 3, 4), random_sets=4, seed=1)


def test_a_sweep_clamps_each_channel_with_the_sign_of_its_answer() -> None:
    policy, levels = sharp_network(), Levels.from_seeds(range(500_000, 500_006), "easy")
    sweep = value_sweep(policy, levels, {"set": [(0, 1, 2, 3)]}, values=(1.0, 0.25), targets=2)
    seen, blank = (record(policy, each, DEFAULT_LAYER)[DEFAULT_LAYER] for each in (levels, levels.without_cheese()))
    cells = [cell_of(tuple(square), 16, "easy") for square in levels.cheese.tolist()]
    rise = np.mean([(seen - blank)[i, :4, row, column].numpy() for i, (row, column) in enumerate(cells)], axis=0)
    signs = np.where(rise < 0, -1.0, 1.0)
    assert len(set(signs.tolist())) == 2  # both occur, or this shows nothing
    for value in (1.0, 0.25):
        clamps = {"set": [dict(enumerate(signs * value))]}
        direct = retarget(policy, levels, clamps, targets=2)
        expected = direct[direct["condition"] == "set"]["probability"].mean()
        assert sweep.loc[sweep["value"] == value, "estimate"].item() == pytest.approx(expected, abs=1e-9)
    assert sweep["condition"].tolist() == ["no edit", "cheese moved", "set", "set"]
    best = sweep.dropna().set_index("value")["estimate"].idxmax()
    assert best_clamps(sweep) == {"set": [dict(enumerate((signs * best).tolist()))]}


def test_bad_sweeps_are_refused() -> None:
    policy, sets = sharp_network(), {"set": [(0,)]}
    for levels, values, message in (
        (SMALL[0], (1.0,), "1 levels and 1 values"),
        (SMALL, (), "3 levels and 0 values"),
        (SMALL.without_cheese(), (1.0,), "level 0 has no cheese"),
    ):
        with pytest.raises(ValueError, match=message):
            value_sweep(policy, levels, sets, values=values)
    with pytest.raises(ValueError, match="no table of value_sweep"):
        best_clamps(pd.DataFrame({"value": [1.0]}))
    with pytest.raises(ValueError, match="no cells to clamp"):
        value_sweep(policy, SMALL, sets, values=(1.0,), layer="embedder.fc_out")


# Tables and pictures


def written() -> pd.DataFrame:
    """Ten levels of three targets; the set always goes a third of the way to the ceiling, the random channels none."""
    rng, rows = np.random.default_rng(0), []
    for level in range(10):
        for x in range(3):
            base, room = rng.uniform(0.1, 0.3), rng.uniform(0.3, 0.6)
            values = {"no edit": base, "cheese moved": base + room, "found set": base + room / 3}
            for condition, value in (values | {"random channels": base}).items():
                rows.append((condition, level, level, 9 if level else 3, x, 0, 1 + x, 2 * x, value))
    columns = ["condition", "level", "seed", "maze_dim", "x", "y", "steps", "off_path", "probability"]
    return pd.DataFrame(rows, columns=columns)


def test_the_table_has_shares_and_paired_differences() -> None:
    results = written()
    table = compare_retargeting(results)
    assert set(table["n"]) == {9}
    assert set(table["targets"]) == {27}
    found = table[table["condition"] == "found set"].set_index("reference")
    assert found.loc["no edit", ["share", "share_low", "share_high"]].tolist() == pytest.approx([1 / 3] * 3)
    counted = results[results["level"] > 0].pivot(index=["level", "x"], columns="condition", values="probability")
    mean = (counted["found set"] - counted["random channels"]).mean()
    assert found.loc["random channels", "difference"] == pytest.approx(mean)
    assert found["difference_low"].min() > 0
    assert found["p_holm"].max() < 0.05
    idle = table[(table["condition"] == "random channels")].iloc[0]
    assert idle["reference"] == "no edit"
    assert idle["difference"] == 0
    assert idle["p_value"] == 1
    assert idle["share"] == 0
    assert table["condition"].tolist()[0] == "no edit"
    assert table["reference"].isna().sum() == 1
    with pytest.raises(ValueError, match="1 levels are of side 7 or more"):
        compare_retargeting(results[results["level"] < 2])


def test_hardness_is_binned() -> None:
    results = written()
    table = retargeting_by(results, "off_path", (0, 1, 5))
    part = table[table["condition"] == "found set"]
    assert part["from"].tolist() == [0, 2]
    assert part["to"].tolist() == [0, 4]
    assert part["middle"].tolist() == [0, 3]
    near = results[(results["condition"] == "found set") & (results["off_path"] == 0)]["probability"]
    assert part["estimate"].iloc[0] == pytest.approx(near.mean())
    assert part["targets"].tolist() == [10, 20]
    assert part["n"].tolist() == [10, 10]
    sides = retargeting_by(results, "maze_dim")
    assert sides[sides["from"] == 3]["low"].isna().all()  # one level has no interval
    with pytest.raises(ValueError, match="off_path, steps and maze_dim"):
        retargeting_by(results, "x")


def test_maps_show_each_squares_own_measurement() -> None:
    level = SMALL[0]
    results = retarget(sharp_network(), level, {"found set": [{2: 3.0}]}, targets=None)
    axes = plot_retargeting_maps(results, level, policy="a network")
    assert [ax.get_title("left") for ax in axes] == ["No edit", "Cheese moved", "Found set"]
    part = results[results["condition"] == "found set"]
    shown = next(image for image in axes[2].images if image.get_array().shape == level.grid.shape)
    np.testing.assert_allclose(np.asarray(shown.get_array()[part["y"], part["x"]]), part["probability"])
    with pytest.raises(ValueError, match="no row has the condition 'blind'"):
        plot_retargeting_maps(results, level, conditions=["blind"])
    with pytest.raises(ValueError, match="retarget that level, targets=None"):
        plot_retargeting_maps(retarget(sharp_network(), SMALL[:2], {}, targets=2), level)


def test_curves_have_a_line_for_each_condition() -> None:
    ax = plot_retargeting_by(retargeting_by(written(), "off_path"), "off_path")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(dict.fromkeys(written()["condition"]))
    sweep = pd.DataFrame(
        {"condition": ["no edit", "cheese moved", "set", "set"], "value": [np.nan, np.nan, 2.0, 1.0]}
        | {"estimate": [0.1, 0.9, 0.4, 0.3], "low": [0.0, 0.8, 0.3, 0.2], "high": [0.2, 1.0, 0.5, 0.4]}
    )
    lines = {line.get_label(): line for line in plot_value_sweep(sweep).lines}
    assert set(lines["no edit"].get_ydata()) == {0.1}
    assert lines["set"].get_xdata().tolist() == [1.0, 2.0]
    assert lines["set"].get_ydata().tolist() == [0.3, 0.4]
