"""Features against a walk through scipy's graph; regressions on mice whose rule is known; folds, subsets, refusals."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hand_made import sharp_network
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from support import steps_to

from mazeinterp.analysis import decide, exact_outcomes, play, tabulate
from mazeinterp.analysis.behaviour import FEATURES, maze_features, measure_behaviour
from mazeinterp.analysis.regressions import (
    MAJORITY,
    MODELS,
    PUBLISHED_ACCURACY,
    PUBLISHED_COEFFICIENTS,
    SIX,
    TEN,
    THREE,
    _folds,
    regression_coefficients,
    score_regressions,
    variance_inflation,
)
from mazeinterp.analysis.subsets import (
    best_subsets,
    half_sample_regressions,
    l1_path,
    sign_stability,
    subset_regressions,
)
from mazeinterp.maze import MOVE_ACTION, Level, Levels, decision_squares
from mazeinterp.policy import PolicyOutput

RULE = {"intercept": 0.6, "euclid_cheese_corner": -1.6, "steps_cheese_decision": -1.5, "euclid_cheese_decision": -1.4}


def reference_features(level: Level) -> dict[str, float] | None:
    """The eleven features by scipy's shortest paths and plain loops; None without a decision square."""
    high = level.margin + level.maze_dim - 1  # type: ignore[operator]
    cheese, corner = level.cheese, (high, high)
    assert cheese is not None
    from_start, from_cheese, from_corner = (steps_to(level, square) for square in (level.mouse, cheese, corner))

    def at(steps: NDArray[np.float64], square: tuple[int, int]) -> float:
        return float(steps[square[1], square[0]])

    squares = [(x, y) for y, x in np.argwhere(level.grid != 1).tolist()]
    shared = [
        square
        for square in squares
        if at(from_start, square) + at(from_cheese, square) == at(from_start, cheese)
        and at(from_start, square) + at(from_corner, square) == at(from_start, corner)
    ]
    decision = max(shared, key=lambda square: at(from_start, square))
    if decision in (cheese, corner):
        return None
    region = [(x, y) for x, y in squares if x > high - 5 and y > high - 5]
    from_decision = steps_to(level, decision)
    return {
        "euclid_cheese_decision": np.linalg.norm(np.subtract(cheese, decision)),
        "steps_cheese_decision": at(from_decision, cheese),
        "euclid_cheese_corner": np.linalg.norm(np.subtract(cheese, corner)),
        "steps_cheese_corner": at(from_corner, cheese),
        "euclid_cheese_5x5": min(np.linalg.norm(np.subtract(cheese, square)) for square in region),
        "steps_cheese_5x5": min(at(from_cheese, square) for square in region),
        "euclid_decision_corner": np.linalg.norm(np.subtract(decision, corner)),
        "steps_decision_corner": at(from_corner, decision),
        "euclid_decision_5x5": min(np.linalg.norm(np.subtract(decision, square)) for square in region),
        "steps_decision_5x5": min(at(from_decision, square) for square in region),
        "cheese_norm": np.linalg.norm(cheese),
    }


class RuleMouse:
    """Turns to the cheese, at the decision square, with a probability that a rule of the features gives.

    It is shown a level and answers by its decision square, wherever it stands; so its decisions are the rule's, and its
    episodes mean little.
    """

    def __init__(self, rule: dict[str, float], means: pd.Series, deviations: pd.Series) -> None:
        self.rule, self.means, self.deviations = rule, means, deviations

    def chances(self, described: pd.DataFrame) -> NDArray[np.float64]:
        """P(cheese | decision square) for rows of `maze_features`."""
        odds = np.full(len(described), float(self.rule["intercept"]))
        for name, weight in self.rule.items():
            if name != "intercept":
                odds += weight * (described[name] - self.means[name]).to_numpy() / self.deviations[name]
        return expit(odds)

    def __call__(self, obs: Any, *, levels: Levels | None = None, rows: Any = None) -> PolicyOutput:
        assert levels is not None
        found, _, cheese_move, corner_move = decision_squares(levels)
        assert found.all()
        chance = self.chances(maze_features(levels))[rows]
        moves, each = np.zeros((len(rows), 5)), np.arange(len(rows))
        moves[each, cheese_move[rows]], moves[each, corner_move[rows]] = chance, 1 - chance
        logits = np.full((len(rows), 15), -np.inf)
        with np.errstate(divide="ignore"):
            logits[:, MOVE_ACTION] = np.log(moves)
        return PolicyOutput(torch.from_numpy(logits), torch.zeros(len(rows)))


@pytest.fixture(scope="module")
def mazes() -> pd.DataFrame:
    """Features of levels as in the published statistics."""
    described = maze_features(Levels.from_seeds(range(3000)))
    return described[(described["maze_dim"] >= 7) & ~described["cheese_in_5x5"]].reset_index(drop=True)


@pytest.fixture(scope="module")
def mice(mazes: pd.DataFrame) -> pd.DataFrame:
    """Those levels with a rule's probability, `told`, and episodes drawn with it, `found`."""
    mouse = RuleMouse(RULE, mazes[list(FEATURES)].mean(), mazes[list(FEATURES)].std(ddof=0))
    told = mouse.chances(mazes)
    return mazes.assign(told=told, found=(np.random.default_rng(5).random(len(told)) < told).astype(float))


def test_features_are_those_of_scipys_paths() -> None:
    levels = Levels.from_seeds(range(60))
    described = maze_features(levels).set_index("level")
    for i, level in enumerate(levels):
        expected = reference_features(level)
        assert (expected is not None) == (i in described.index)
        if expected is not None:
            row = described.loc[i]
            assert {name: row[name] for name in FEATURES} == pytest.approx(expected)
            assert row["cheese_in_5x5"] == (expected["euclid_cheese_5x5"] == 0)
            assert (row["seed"], row["maze_dim"]) == (level.seed, level.maze_dim)


def test_the_published_levels_are_about_as_many() -> None:
    """5,239 of 10,000 levels, the published count, have a decision square and their cheese outside the 5×5."""
    described = maze_features(Levels.from_seeds(range(5000)))
    outside = (~described["cheese_in_5x5"]).sum()
    assert abs(outside - 5239 / 2) < 4 * np.sqrt(5000 * 0.25)
    assert len(described) > 5239 / 2 + 4 * np.sqrt(5000 * 0.25)  # those with any decision square are too many


def test_equal_walls_have_one_layout() -> None:
    levels = Levels.from_seeds(range(400))
    described = maze_features(levels)
    walls = [(levels.grid[i] == 1).tobytes() for i in described["level"]]
    assert len(set(walls)) < len(walls)
    for (one, a), (other, b) in itertools.combinations(zip(walls, described["layout"], strict=True), 2):
        assert (one == other) == (a == b)


def test_ways_add_up_without_loops(mazes: pd.DataFrame) -> None:
    total = mazes["steps_cheese_decision"] + mazes["steps_decision_corner"]
    assert (total == mazes["steps_cheese_corner"]).all()


def test_levels_without_decision_squares_are_refused() -> None:
    with pytest.raises(ValueError, match="none of the 3 levels has a decision square"):
        maze_features(Levels.from_seeds(range(3)).without_cheese())


def test_behaviour_measures_what_the_rooms_measure(tmp_path: Path) -> None:
    policy, levels = sharp_network(), Levels.from_seeds(range(40), "easy")
    levels = levels[levels.maze_dim <= 9]
    result = measure_behaviour(policy, levels, exact_levels=4, seed=3, folder=tmp_path)
    counted = levels[result["level"].to_numpy()]
    assert len(counted) == 7
    pd.testing.assert_frame_equal(result[maze_features(levels).columns], maze_features(levels))
    np.testing.assert_array_equal(result["found"], play(policy, counted, seed=3)["found"].astype(float))
    exact = exact_outcomes(tabulate(policy, counted[:4]))["p_cheese"]
    np.testing.assert_array_equal(result["p_cheese"][:4], exact)
    assert result["p_cheese"][4:].isna().all()
    for name in ("p_cheese_move", "p_corner_move"):
        np.testing.assert_allclose(result[name], decide(policy, counted)[name], atol=1e-6)
        assert result[name].dtype == np.float64
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.parquet")}
    pd.testing.assert_frame_equal(measure_behaviour(policy, levels, exact_levels=4, seed=3, folder=tmp_path), result)
    assert files == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.parquet")}
    with pytest.raises(ValueError, match="exact_levels is -1"):
        measure_behaviour(policy, levels, exact_levels=-1)


def test_a_simulated_mouse_gives_its_rule_away() -> None:
    """From the mouse's own answers, through `measure_behaviour`, to the coefficients of its rule."""
    levels = Levels.from_seeds(range(120))
    described = maze_features(levels)
    counted = described["level"][described["maze_dim"] >= 7].to_numpy()
    part = described.loc[described["maze_dim"] >= 7, list(FEATURES)]
    mouse = RuleMouse(RULE, part.mean(), part.std(ddof=0))
    table = regression_coefficients(measure_behaviour(mouse, levels[counted]), "p_cheese_move", {"three": THREE})
    assert dict(zip(table["feature"], table["coefficient"], strict=True)) == pytest.approx(RULE, abs=1e-4)


def test_coefficients_are_those_of_the_rule(mice: pd.DataFrame) -> None:
    models = {"three": THREE, "six": SIX}
    exact = regression_coefficients(mice, "told", models)
    expected = exact["feature"].map(RULE).fillna(0.0)
    np.testing.assert_allclose(exact["coefficient"], expected, atol=1e-6)
    sampled = regression_coefficients(mice, "found", models)
    in_rule, slopes = sampled["feature"].isin(RULE), sampled["feature"] != "intercept"
    inside = (sampled["low"] < expected) & (expected < sampled["high"])
    assert inside.mean() > 0.8
    three = sampled[(sampled["model"] == "three") & slopes]
    assert (three["p_holm"] < 0.05).all()
    assert (three["coefficient"] < 0).all()
    assert (sampled.loc[~in_rule, "p_holm"] > 0.05).all()
    assert (sampled["n"] == len(mice)).all()
    assert sampled.loc[~slopes, "p_holm"].isna().all()
    some = regression_coefficients(mice.assign(found=mice["found"].where(mice.index < 400)), "found", models)
    pd.testing.assert_frame_equal(some, regression_coefficients(mice[:400], "found", models))


def test_a_fit_is_the_most_likely_one(mice: pd.DataFrame) -> None:
    """Against a minimiser that knows nothing of regressions, without and with the penalty, yes or no and shares."""
    part = mice[:300].assign(share=lambda rows: (rows["told"] + rows["found"]) / 2)
    x = part[list(THREE)].to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    for outcome, l1 in itertools.product(("found", "share"), (0.0, 4.0)):
        y = part[outcome].to_numpy()

        def loss(w: NDArray[np.float64], y: NDArray[np.float64] = y, l1: float = l1) -> float:
            slopes = w[1:4] - w[4:]  # both parts ≥ 0, so that the penalty has a slope
            odds = w[0] + x @ slopes
            return float((np.logaddexp(0, odds) - y * odds).sum() + l1 * w[1:].sum())

        best = minimize(loss, np.zeros(7), method="L-BFGS-B", bounds=[(None, None)] + [(0, None)] * 6, tol=1e-12).x
        fit = regression_coefficients(part, outcome, {"three": THREE}, l1=l1)["coefficient"]
        np.testing.assert_allclose(fit, [best[0], *(best[1:4] - best[4:])], atol=2e-3)


def test_a_penalty_drops_features_and_has_no_intervals(mice: pd.DataFrame) -> None:
    table = regression_coefficients(mice, "found", {"eleven": FEATURES}, l1=60.0)
    assert table[["low", "high", "p_value", "p_holm"]].isna().all(axis=None)
    assert 0 < (table["coefficient"] == 0).sum() < len(FEATURES)
    path = l1_path(mice[:600], "found", points=4, folds=3)
    kept = path.drop_duplicates("l1").sort_values("l1")["kept"].tolist()
    assert kept[-1] == 0
    assert kept == sorted(kept, reverse=True)
    assert len(path) == 4 * len(FEATURES)
    losses = path.drop_duplicates("l1").sort_values("l1")["log_loss"]
    assert losses.iloc[0] < losses.iloc[-1]
    with pytest.raises(ValueError, match="points is 1"):
        l1_path(mice, points=1)


def test_collinear_features_are_told(mazes: pd.DataFrame) -> None:
    vif = variance_inflation(mazes).set_index("feature")["vif"]
    sums = {"steps_cheese_decision", "steps_decision_corner", "steps_cheese_corner"}
    assert set(vif.index[np.isinf(vif)]) == sums
    correlation = mazes[list(THREE)].corr().to_numpy()
    expected = np.diag(np.linalg.inv(correlation))
    np.testing.assert_allclose(variance_inflation(mazes, THREE)["vif"], expected, rtol=1e-9)
    assert variance_inflation(mazes, THREE)["vif"].round(2).tolist() == pytest.approx([1.05, 4.64, 4.66], abs=0.6)
    with pytest.raises(ValueError, match=r"linearly dependent.*leave one out"):
        regression_coefficients(mazes.assign(found=mazes.index % 2), "found", {"eleven": FEATURES})


def test_scores_are_those_of_other_mazes(mice: pd.DataFrame) -> None:
    mice = mice[:500]
    scored = score_regressions(mice, "found", {"three": THREE, "cheese_norm": ("cheese_norm",)}, folds=5)
    table = scored.set_index(["measure", "model"])
    share = mice["found"].mean()
    majority = table.loc[("accuracy", MAJORITY)]
    assert majority["estimate"] == pytest.approx(max(share, 1 - share))
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert table.loc[("log_loss", MAJORITY), "estimate"] == pytest.approx(entropy, abs=5e-3)
    best = np.maximum(mice["told"], 1 - mice["told"]).mean()  # what knowing the rule would give
    assert table.loc[("accuracy", "three"), "estimate"] == pytest.approx(best, abs=0.05)
    assert table.loc[("accuracy", "three"), "p_holm"] < 0.01
    assert table.loc[("accuracy", "three"), "difference"] > 0.05
    assert list(scored["model"][:3]) == [MAJORITY, "three", "cheese_norm"]
    shares = score_regressions(mice, "told", {"three": THREE}, folds=5).set_index(["measure", "model"])
    assert shares.loc[("accuracy", "three"), "estimate"] == pytest.approx(best, abs=1e-4)
    assert shares.loc[("accuracy", "three"), "ceiling"] == pytest.approx(best)
    assert shares.loc[("log_loss", "three"), "estimate"] == pytest.approx(shares["ceiling"].iloc[-1], abs=1e-4)
    assert (scored.loc[scored["measure"] == "accuracy", "ceiling"] == 1).all()


def test_a_maze_is_never_on_both_sides() -> None:
    groups = np.random.default_rng(0).integers(40, size=300)
    told = []
    for fitted, left_out in _folds(groups, 7, 0):
        assert not set(groups[fitted]) & set(groups[left_out])
        told += left_out.tolist()
    assert sorted(told) == list(range(300))
    with pytest.raises(ValueError, match="there are 40 layouts"):
        list(_folds(groups, 41, 0))


def test_what_is_learnt_by_heart_scores_nothing(mazes: pd.DataFrame) -> None:
    """Every maze five times, its outcome by the toss of a coin: only a leak could foretell it."""
    few = mazes[:30].assign(found=np.random.default_rng(1).integers(2, size=30).astype(float))
    repeated = pd.concat([few] * 5, ignore_index=True)
    fitted = regression_coefficients(repeated, "found", {"ten": TEN}, l1=1.0)
    assert fitted["coefficient"].abs().max() > 0.5  # there is much to learn by heart
    scored = score_regressions(repeated, "found", {"ten": TEN}, l1=1.0, folds=10).set_index(["measure", "model"])
    assert scored.loc[("log_loss", "ten"), "estimate"] > scored.loc[("log_loss", MAJORITY), "estimate"]


def test_subsets_and_halves_keep_the_signs_of_the_rule(mice: pd.DataFrame) -> None:
    predictors = (*SIX, "steps_decision_corner")
    subsets = subset_regressions(mice, "found", predictors)
    sizes = subsets.drop_duplicates("draw").groupby("size").size()
    assert sizes.sum() == 2**7 - 1 - 2**4  # but for those that hold all three of the sum
    direct = regression_coefficients(mice, "found", {"three": THREE}).set_index("feature")["coefficient"]
    same = subsets.groupby("draw").filter(lambda rows: set(rows["feature"]) == set(THREE)).set_index("feature")
    np.testing.assert_allclose(same["coefficient"], direct[same.index], atol=1e-5)
    signs = sign_stability(subsets).set_index("feature")
    assert (signs.loc[["steps_cheese_decision", "euclid_cheese_decision"], "negative"] > 0.97).all()
    assert signs["draws"].sum() == len(subsets)
    assert (signs["negative"] + signs["positive"] == 1).all()
    halves = half_sample_regressions(mice, "found", THREE, samples=30)
    assert (sign_stability(halves)["negative"] == 1).all()
    assert halves.groupby("feature")["coefficient"].std().between(0.01, 0.5).all()
    pd.testing.assert_frame_equal(halves, half_sample_regressions(mice, "found", THREE, samples=30))
    with pytest.raises(ValueError, match="samples is 0"):
        half_sample_regressions(mice, samples=0)


def test_the_best_subset_is_the_rules(mice: pd.DataFrame) -> None:
    for outcome in ("found", "told"):
        best = best_subsets(mice, subset_regressions(mice, outcome, (*SIX[:5], "cheese_norm")), folds=5)
        assert best["chosen"].sum() == 1
        assert set(best.loc[best["chosen"], "features"].iloc[0].split(" + ")) == set(THREE)
        assert list(best["size"]) == list(range(1, 7))
        assert (best["excess"] > -1e-9).all()


@pytest.mark.parametrize(
    ("change", "outcome", "message"),
    [
        ({"found": 2.0}, "found", r"from 2.0 to 2.0 in .* levels; it must vary, within \[0, 1\]"),
        ({"found": np.nan}, "found", "missing everywhere"),
        ({"steps_cheese_decision": 4.0}, "found", "'steps_cheese_decision' is the same in all"),
        ({}, "luck", "the table lacks luck"),
    ],
)
def test_bad_tables_are_refused(mice: pd.DataFrame, change: dict[str, float], outcome: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regression_coefficients(mice.assign(**change), outcome, {"three": THREE})


def test_perfect_separation_is_refused(mice: pd.DataFrame) -> None:
    near = (mice["euclid_cheese_corner"] < 10).astype(float)
    with pytest.raises(ValueError, match=r"separate the outcomes .* penalty"):
        regression_coefficients(mice.assign(found=near), "found", {"one": ("euclid_cheese_corner",)})


def test_published_numbers_name_models_and_features() -> None:
    assert set(PUBLISHED_ACCURACY) - {MAJORITY} < set(MODELS)
    for model, published in PUBLISHED_COEFFICIENTS.items():
        assert set(published) == {"intercept", *MODELS[model]}
