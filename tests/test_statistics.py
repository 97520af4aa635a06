"""Intervals that cover as often as they say, and tests against closed forms and enumeration."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from mazeinterp.analysis import bootstrap_mean, compare_policies, holm, paired_difference, quantile, wilson


def covers_often_enough(hits: int, trials: int, confidence: float = 0.95) -> bool:
    """Whether a coverage of at least `confidence` − 2 points could give so few hits, one time in a thousand."""
    return stats.binom.cdf(hits, trials, confidence - 0.02) > 0.001


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_the_closed_form(n, share, confidence):
    successes = round(share * n)
    rate, low, high, count = wilson(successes, n, confidence)
    p, z = successes / n, stats.norm.ppf(0.5 + confidence / 2)
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (rate, count) == (p, n)
    assert low == pytest.approx(max((middle - half) / (1 + z**2 / n), 0), abs=1e-12)
    assert high == pytest.approx(min((middle + half) / (1 + z**2 / n), 1), abs=1e-12)
    assert 0 <= low <= rate <= high <= 1
    expected = proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    np.testing.assert_allclose((low, high), expected, atol=1e-12)


def test_wilson_covers_exactly_as_often_as_the_binomial_says():
    n, rate = 60, 0.9
    intervals = [wilson(k, n) for k in range(n + 1)]
    covered = sum(stats.binom.pmf(k, n, rate) for k, (_, low, high, _) in enumerate(intervals) if low <= rate <= high)
    assert 0.93 < covered < 0.98


def test_the_bootstrap_covers_even_the_mean_of_few_and_skewed_probabilities():
    rng, trials, hits = np.random.default_rng(0), 200, 0
    for trial in range(trials):
        estimate, low, high, n = bootstrap_mean(rng.beta(0.1, 1.5, 40), seed=trial)
        assert low < estimate < high
        assert n == 40
        hits += low <= 0.1 / 1.6 <= high
    assert covers_often_enough(hits, trials)


def test_the_bootstrap_covers_when_a_levels_values_go_together_and_not_without_its_groups():
    rng, trials = np.random.default_rng(1), 70
    hits = {"grouped": 0, "ungrouped": 0}
    for trial in range(trials):
        groups = np.repeat(np.arange(40), 5)
        values = rng.normal(size=40)[groups] + 0.3 * rng.normal(size=200)
        for name, members in (("grouped", groups), ("ungrouped", None)):
            _, low, high, _ = bootstrap_mean(values, members, seed=trial)
            hits[name] += low <= 0 <= high
    assert covers_often_enough(hits["grouped"], trials)
    assert not covers_often_enough(hits["ungrouped"], trials)


def test_the_bootstrap_is_near_the_normal_interval_of_many_well_behaved_values():
    values = np.random.default_rng(2).normal(3, 1, 400)
    estimate, low, high, _ = bootstrap_mean(values, confidence=0.9)
    half = stats.norm.ppf(0.95) * values.std(ddof=1) / math.sqrt(400)
    assert estimate == pytest.approx(values.mean())
    np.testing.assert_allclose((low, high), (values.mean() - half, values.mean() + half), atol=0.15 * half)


def test_the_bootstrap_depends_on_its_seed_and_not_on_the_order_of_a_groups_values():
    rng = np.random.default_rng(3)
    values, groups = rng.random(60), np.repeat(np.arange(20), 3)
    assert bootstrap_mean(values, groups, seed=4) == bootstrap_mean(values, groups, seed=4)
    assert bootstrap_mean(values, groups, seed=4) != bootstrap_mean(values, groups, seed=5)
    within = values.reshape(20, 3)[:, ::-1].ravel()
    np.testing.assert_allclose(bootstrap_mean(within, groups), bootstrap_mean(values, groups), atol=1e-12)
    # Uneven groups: the estimate is the mean of values, not of groups.
    assert bootstrap_mean([0, 0, 0, 1], [0, 0, 0, 1]).estimate == 0.25


def test_values_that_agree_have_a_point_for_an_interval():
    assert bootstrap_mean([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5, 3)
    assert bootstrap_mean([0.0, 0.0, 0.0]) == (0, 0, 0, 3)
    # So do probabilities that add up to 1 but for rounding, from which no interval could be made.
    assert np.isfinite(bootstrap_mean([1 - 2**-53, 1, 1, 1, 1, 1, 1])).all()
    assert not np.isclose(*bootstrap_mean([1 - 1e-6, 1, 1, 1, 1, 1, 1])[1:3], rtol=1e-9)


def test_a_quantiles_interval_covers():
    rng, trials = np.random.default_rng(4), 400
    for q in (0.5, 0.9):
        hits = 0
        for _ in range(trials):
            estimate, low, high, _ = quantile(rng.exponential(size=80), q)
            assert low <= estimate <= high
            hits += low <= -math.log(1 - q) <= high
        assert covers_often_enough(hits, trials)
    assert quantile([3, 1, 2], 0.5).estimate == 2
    assert np.isnan(quantile([3, 1, 2], 0.9).high)


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=2, max_size=8))
def test_the_sign_flip_test_enumerates_all_signs_of_a_few_differences(differences):
    array = np.array(differences)
    means = [np.dot(signs, array) for signs in itertools.product((-1, 1), repeat=len(array))]
    # Two-sided: twice the smaller tail.
    tails = [np.mean(np.array(means) >= array.sum() - 1e-9), np.mean(np.array(means) <= array.sum() + 1e-9)]
    expected = min(1, 2 * min(tails)) if array.any() else 1
    assert paired_difference(array, np.zeros(len(array))).p_value == pytest.approx(expected)


def test_the_sign_flip_test_holds_its_level_and_finds_what_is_there():
    rng, trials = np.random.default_rng(5), 100
    p_values = [paired_difference(rng.random(30), rng.random(30), seed=trial).p_value for trial in range(trials)]
    assert stats.binom.sf(sum(p <= 0.05 for p in p_values) - 1, trials, 0.05) > 0.001
    a = rng.random(60)
    comparison = paired_difference(a + rng.normal(0.2, 0.1, 60), a)
    assert comparison.p_value < 0.001
    assert comparison.low < 0.2 < comparison.high
    assert comparison.low > 0.1
    assert comparison.difference == pytest.approx(0.2, abs=0.05)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_booleans_have_the_exact_mcnemar_test(pairs):
    a, b = np.array(pairs).T
    comparison = paired_difference(a, b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    assert comparison.p_value == pytest.approx(expected)
    assert comparison.difference == pytest.approx((only_a - only_b) / len(a))


def test_holm_is_the_step_down_of_its_paper():
    # Sorted: 0.01 · 4, then 0.02 · 3, 0.03 · 2 and 0.5 · 1, none below the one before.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.5, 0.02]), [0.06, 0.04, 0.5, 0.06])
    assert holm([]).tolist() == []
    assert holm([0.9, 0.8]).max() == 1


def results() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    base = rng.random(40)
    frames = {"a": base, "b": base - rng.normal(0.15, 0.02, 40), "c": rng.permutation(base)}
    rows = [pd.DataFrame({"policy": p, "level": range(40), "score": v, "found": v > 0.4}) for p, v in frames.items()]
    return pd.concat(rows, ignore_index=True)


def test_policies_are_compared_with_the_reference_level_by_level():
    data = results().sample(frac=1, random_state=0)
    table = compare_policies(data, ["score", "found"], reference="b")
    assert table["policy"].tolist()[0] == "b"
    assert len(table) == 6
    rows = table.set_index(["measure", "policy"])
    wide = data.pivot(index="level", columns="policy", values="score")
    expected = paired_difference(wide["a"], wide["b"])
    row = rows.loc["score", "a"]
    assert (row["difference"], row["difference_low"], row["difference_high"], row["p_value"]) == expected[:4]
    assert row["estimate"] == pytest.approx(wide["a"].mean())
    assert row["difference_low"] > 0.1
    found = data.pivot(index="level", columns="policy", values="found")
    assert tuple(rows.loc["found", "c"][["estimate", "low", "high", "n"]]) == wilson(int(found["c"].sum()), 40)
    assert rows.loc["found", "a"]["p_value"] == paired_difference(found["a"], found["b"]).p_value
    tested = table["p_value"].notna()
    assert tested.sum() == 4
    np.testing.assert_allclose(table.loc[tested, "p_holm"], holm(table.loc[tested, "p_value"]))
    assert table.loc[~tested, "policy"].eq("b").all()
    assert table.loc[~tested, ["difference", "p_holm"]].isna().all(axis=None)


def test_a_level_without_a_measure_is_left_out_for_all():
    data = results()
    data["corner_first"] = pd.array(data["found"], dtype="boolean")
    data.loc[(data["policy"] == "a") & (data["level"] < 3), "corner_first"] = pd.NA
    table = compare_policies(data, ["corner_first"], reference="a")
    assert set(table["n"]) == {37}
    alone = compare_policies(data[data["policy"] == "c"], ["score"], reference="c")
    assert alone["p_holm"].isna().all()


def test_bad_input_is_refused_with_a_reason():
    for successes, n in ((3, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="are no rate"):
            wilson(successes, n)
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match="confidence is"):
            wilson(1, 2, confidence)
        with pytest.raises(ValueError, match="confidence is"):
            bootstrap_mean([1, 2], confidence=confidence)
    with pytest.raises(ValueError, match="at least two levels"):
        bootstrap_mean([1, 2, 3], [0, 0, 0])
    with pytest.raises(ValueError, match="1 of 3 values are missing"):
        bootstrap_mean([1, np.nan, 3])
    with pytest.raises(ValueError, match="each value has one group"):
        bootstrap_mean([1, 2, 3], [0, 1])
    with pytest.raises(ValueError, match="one dimension"):
        bootstrap_mean(np.ones((2, 2)))
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="no quantile 1"):
        quantile([1, 2], 1)
    with pytest.raises(ValueError, match=r"in \[0, 1\]; got 1.5"):
        holm([0.5, 1.5])
    with pytest.raises(ValueError, match="no policy 'd'"):
        compare_policies(results(), ["score"], reference="d")
    with pytest.raises(ValueError, match="lack speed"):
        compare_policies(results(), ["speed"], reference="a")
    with pytest.raises(ValueError, match="not measured on the same levels"):
        compare_policies(results().iloc[1:], ["score"], reference="a")
