"""Estimates with their intervals, and comparisons with their tests. Levels are the unit: they are what was sampled.

Rates of one episode a level have Wilson intervals; all else is bootstrapped, clustered by level. Comparisons are
paired by level: a sign-flip permutation test on numbers, the exact McNemar test on yes and no. Families of tests
are corrected by Holm's method. The methods are scipy's and statsmodels'; this module says which and how.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

RESAMPLES = 9_999
"""Resamples of a bootstrap or a permutation test. The smallest p-value of the latter is 1 / 10,000."""

_ROUNDING = 1e-12  # relative; sums of probabilities that should be equal differ by less, and a spread of it has no skew
_BATCH_NUMBERS = 4_000_000  # random numbers held at a time, which bounds the memory


class Estimate(NamedTuple):
    """A number with its interval.

    Attributes:
        estimate: the number.
        low: lower end of the interval.
        high: upper end.
        n: the number of levels (or other independent units) that it rests on.
    """

    estimate: float
    low: float
    high: float
    n: int


class Comparison(NamedTuple):
    """A paired difference with its interval and test.

    Attributes:
        difference: mean of a − b.
        low: lower end of the interval.
        high: upper end.
        p_value: of the two-sided test that there is none, not corrected for others.
        n: the number of pairs.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n: int


def wilson(successes: int, n: int, confidence: float = 0.95) -> Estimate:
    """A rate with Wilson's score interval (Wilson 1927): for one yes or no from each of n levels.

    Args:
        successes: number of yes.
        n: number of levels, at least 1.
        confidence: of the interval, in (0, 1).

    Raises:
        ValueError: if the numbers are not 0 ≤ successes ≤ n with n ≥ 1, or the confidence is out of its range.
    """
    _check_confidence(confidence)
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n} are no rate; 0 ≤ successes ≤ n and n ≥ 1 are needed")
    interval = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), n)


def bootstrap_mean(
    values: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95, *, seed: int = 0
) -> Estimate:
    """A mean with a bootstrap interval, bias-corrected and accelerated (Efron 1987), that resamples whole groups.

    Several numbers from one level are not independent, so the level is drawn with all of its own. Where all groups
    agree, but for rounding, the interval is a point; a rate of one yes or no a level has a better one then (`wilson`).

    Args:
        values: numbers or booleans [k], without NaN; the estimate is their plain mean.
        groups: [k], the level of each value; None: each is a level of its own.
        confidence: of the interval, in (0, 1).
        seed: of the resampling.

    Raises:
        ValueError: if there are fewer than two groups, a value is NaN, or shapes or the confidence are wrong.
    """
    _check_confidence(confidence)
    numbers = _numbers(values)
    members = np.arange(len(numbers)) if groups is None else np.asarray(groups)
    if members.shape != numbers.shape:
        raise ValueError(f"{members.shape} groups for {numbers.shape} values; each value has one group")
    _, group, counts = np.unique(members, return_inverse=True, return_counts=True)
    sums, n = np.bincount(group, numbers), len(counts)
    if n < 2:
        raise ValueError(f"an interval needs at least two levels to resample; there are {n}")
    mean = float(numbers.mean())
    means = sums / counts
    if np.ptp(means) <= _ROUNDING * np.abs(means).max():
        return Estimate(mean, mean, mean, n)
    interval = stats.bootstrap(
        (sums, counts),
        _ratio,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH_NUMBERS // n),
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), n)


def quantile(values: ArrayLike, q: float, confidence: float = 0.95) -> Estimate:
    """A quantile with its distribution-free interval, from order statistics (Conover 1999, section 3.2).

    Args:
        values: numbers [n], one a level, without NaN.
        q: which quantile, in (0, 1).
        confidence: of the interval, in (0, 1); NaN ends where n is too small for it.

    Raises:
        ValueError: if there are no values, one is NaN, or q or the confidence is out of its range.
    """
    _check_confidence(confidence)
    numbers = _numbers(values)
    if not 0 < q < 1 or not len(numbers):
        raise ValueError(f"there is no quantile {q} of {len(numbers)} values; q in (0, 1) and n ≥ 1 are needed")
    interval = stats.quantile_test(numbers, p=q).confidence_interval(confidence)
    return Estimate(float(np.quantile(numbers, q)), float(interval.low), float(interval.high), len(numbers))


def paired_difference(a: ArrayLike, b: ArrayLike, confidence: float = 0.95, *, seed: int = 0) -> Comparison:
    """The mean difference a − b over levels, with its interval and the p-value of a paired test.

    The interval is `bootstrap_mean`'s. The test flips the signs of differences (all ways, or `RESAMPLES` of them): it
    asks whether they lie evenly around zero. Booleans have the exact McNemar test, which is the same question.

    Args:
        a: numbers or booleans [n], one a level.
        b: the other condition's, level by level.
        confidence: of the interval, in (0, 1).
        seed: of the resampling.

    Raises:
        ValueError: if the two differ in length, there are fewer than two levels, or a value is NaN.
    """
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} values cannot be paired; give one a level, in one order")
    differences = _numbers(first) - _numbers(second)
    estimate, low, high, n = bootstrap_mean(differences, confidence=confidence, seed=seed)
    if first.dtype == np.bool_ and second.dtype == np.bool_:
        table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
        p_value = float(mcnemar(table, exact=True).pvalue) if (first != second).any() else 1.0
    else:
        p_value = _sign_flip(differences, seed)
    return Comparison(estimate, low, high, p_value, n)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P-values of a family of tests, adjusted by Holm's step-down method (Holm 1979).

    Args:
        p_values: [m], each in [0, 1].

    Returns:
        float64 [m], in the same order: below α where the family rejects at level α.

    Raises:
        ValueError: if a p-value is not in [0, 1].
    """
    array = np.asarray(p_values, np.float64)
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"p-values lie in [0, 1]; got {array[~((array >= 0) & (array <= 1))][0]}")
    return np.asarray(multipletests(array, method="holm")[1]) if array.size else array


def compare_policies(
    results: pd.DataFrame, measures: Sequence[str], *, reference: str, confidence: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Every policy's mean of every measure, and its paired difference to a reference policy.

    Args:
        results: one row for each policy and level, with the columns policy, level and the measures; the same levels
            for each. A level where a measure is missing for any policy is left out of that measure for all.
        measures: the columns to compare.
        reference: the policy that the others are compared with.
        confidence: of the intervals, in (0, 1).
        seed: of the resampling.

    Returns:
        One row for each measure and policy, the reference first: measure, policy, estimate, low, high, n,
        difference (to the reference), difference_low, difference_high, p_value, and p_holm: adjusted for all tests
        of the frame. The last five are NaN for the reference.

    Raises:
        ValueError: if a column is missing, the reference is not among the policies, or their levels differ.
    """
    missing = [name for name in ("policy", "level", *measures) if name not in results]
    if missing:
        raise ValueError(f"the results lack {', '.join(missing)}; they have {', '.join(results)}")
    policies = list(dict.fromkeys(results["policy"]))
    if reference not in policies:
        raise ValueError(f"no policy {reference!r} in the results; there are {', '.join(map(repr, policies))}")
    policies.sort(key=lambda policy: policy != reference)
    rows: list[dict[str, object]] = []
    for measure in measures:
        wide = results.pivot(index="level", columns="policy", values=measure)
        if len(wide) * len(policies) != len(results):
            raise ValueError("the policies were not measured on the same levels, so they cannot be paired")
        wide = wide.dropna()
        for policy in policies:
            # By way of lists, so that nullable columns become plain booleans or numbers; nothing is missing any more.
            mine, base = (np.array(wide[name].tolist()) for name in (policy, reference))
            if mine.dtype == np.bool_:
                estimate = wilson(int(mine.sum()), len(mine), confidence)
            else:
                estimate = bootstrap_mean(mine, confidence=confidence, seed=seed)
            row = {"measure": measure, "policy": policy} | estimate._asdict()
            columns = ("difference", "difference_low", "difference_high", "p_value")
            test = (np.nan,) * 4 if policy == reference else paired_difference(mine, base, confidence, seed=seed)[:4]
            rows.append(row | dict(zip(columns, test, strict=True)))
    frame = pd.DataFrame(rows).assign(p_holm=np.nan)
    tested = frame["p_value"].notna()
    frame.loc[tested, "p_holm"] = holm(frame.loc[tested, "p_value"])
    return frame


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))


def _sign_flip(differences: NDArray[np.float64], seed: int) -> float:
    if not differences.any():
        return 1.0
    test = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH_NUMBERS // len(differences)),
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ValueError(f"values have shape {array.shape}; one dimension is needed")
    if np.isnan(array).any():
        raise ValueError(
            f"{np.isnan(array).sum()} of {len(array)} values are missing; leave those levels out knowingly"
        )
    return array


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it lies in (0, 1)")
