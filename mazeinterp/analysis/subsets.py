"""How far a regression's features can be trusted: what stays under a penalty, in subsets, and in halves of the mazes.

The sign of a coefficient among correlated features may depend on which of them are in the model and which mazes came.
The published statistics looked for features whose sign never flips; this module looks at all subsets, and chooses among
them by how well they foretell other mazes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from tqdm import tqdm

from .behaviour import FEATURES
from .regressions import _ROUNDING, SIX, _arrays, _check_independent, _dependent, _fit, _foretell, _log_loss


def l1_path(
    data: pd.DataFrame,
    outcome: str = "found",
    predictors: Sequence[str] = FEATURES,
    *,
    points: int = 25,
    folds: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Which features stay as an L1 penalty grows, and how well what stays foretells the outcome in other mazes.

    Args:
        data: as for `regression_coefficients`.
        outcome: as for `regression_coefficients`.
        predictors: the features; linearly dependent ones are allowed, and share their weight at the penalty's whim.
        points: penalties, evenly spaced in their logarithm from 1% above the smallest that leaves no feature down
            to a thousandth of that; at least 2.
        folds: as for `score_regressions`.
        seed: of the division into folds.

    Returns:
        One row for each penalty and feature: outcome, l1, feature, coefficient, kept (features that are not 0 at that
        penalty), log_loss (mean over levels, each foretold by a fit to other mazes).

    Raises:
        ValueError: as `score_regressions`; if points is below 2.
    """
    if points < 2:
        raise ValueError(f"points is {points}; a path has at least 2")
    x, y, _ = _arrays(data, outcome, predictors)
    largest = 1.01 * float(np.abs(x.T @ (y - y.mean())).max())
    rows: list[dict[str, Any]] = []
    for l1 in tqdm(np.geomspace(largest, largest / 1000, points), desc="L1 path", delay=1, leave=False):
        _, slopes = _fit(x, y, l1)
        y_told, foretold = _foretell(data, outcome, tuple(predictors), l1, folds, seed)
        shared = {"kept": int((slopes != 0).sum()), "log_loss": float(_log_loss(y_told, foretold).mean())}
        rows += [
            {"outcome": outcome, "l1": float(l1), "feature": name, "coefficient": float(slope)} | shared
            for name, slope in zip(predictors, slopes, strict=True)
        ]
    return pd.DataFrame(rows)


def subset_regressions(
    data: pd.DataFrame, outcome: str = "found", predictors: Sequence[str] = FEATURES, *, l1: float = 0.0
) -> pd.DataFrame:
    """Regressions on every subset of the features: whether a sign depends on what else is in the model.

    The published check drew 200 subsets at random; here are all, 2,047 of eleven. Subsets that are linearly dependent
    have no coefficients without penalty, and are left out.

    Args:
        data: as for `regression_coefficients`.
        outcome: as for `regression_coefficients`.
        predictors: the features, 16 at most.
        l1: as for `regression_coefficients`.

    Returns:
        One row for each subset and feature in it: outcome, draw (number of the subset), size, feature, coefficient,
        log_loss (mean over the levels that the subset was fitted to).

    Raises:
        ValueError: as `regression_coefficients`, but for dependent predictors; if there are more than 16.
    """
    if not 1 <= len(predictors) <= 16:
        raise ValueError(f"{len(predictors)} predictors have 2^{len(predictors)} subsets; 1 to 16 are allowed")
    x, y, _ = _arrays(data, outcome, predictors)
    sizes = range(1, len(predictors) + 1)
    subsets = [list(subset) for size in sizes for subset in itertools.combinations(range(len(predictors)), size)]
    if l1 == 0:
        subsets = [subset for subset in subsets if not _dependent(x[:, subset])]
    frames = []
    for draw, subset in enumerate(tqdm(subsets, desc="subsets", delay=1, leave=False)):
        intercept, slopes = _fit(x[:, subset], y, l1)
        loss = float(_log_loss(y, expit(intercept + x[:, subset] @ slopes)).mean())
        rows = {"feature": [predictors[i] for i in subset], "coefficient": slopes}
        frames.append(pd.DataFrame({"outcome": outcome, "draw": draw, "size": len(subset)} | rows | {"log_loss": loss}))
    return pd.concat(frames, ignore_index=True)


def half_sample_regressions(
    data: pd.DataFrame,
    outcome: str = "found",
    predictors: Sequence[str] = SIX,
    *,
    l1: float = 0.0,
    samples: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """One regression on random halves of the mazes: whether a sign depends on which mazes came.

    Args:
        data: as for `regression_coefficients`.
        outcome: as for `regression_coefficients`.
        predictors: of the one regression.
        l1: as for `regression_coefficients`.
        samples: halves, each of all layouts without repetition; at least 1.
        seed: of the drawing.

    Returns:
        One row for each half and feature: outcome, draw, feature, coefficient.

    Raises:
        ValueError: as `regression_coefficients`; if samples is below 1.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; at least one half must be drawn")
    _, _, groups = _arrays(data, outcome, predictors)
    layouts, rng = np.unique(groups), np.random.default_rng(seed)
    complete = data[data[outcome].notna()]
    frames = []
    for draw in range(samples):
        half = np.isin(groups, rng.choice(layouts, len(layouts) // 2, replace=False))
        x, y, _ = _arrays(complete[half], outcome, predictors)
        if l1 == 0:
            _check_independent(x, predictors)
        rows = {"feature": list(predictors), "coefficient": _fit(x, y, l1)[1]}
        frames.append(pd.DataFrame({"outcome": outcome, "draw": draw} | rows))
    return pd.concat(frames, ignore_index=True)


def sign_stability(draws: pd.DataFrame) -> pd.DataFrame:
    """How often each feature's coefficient has which sign.

    Args:
        draws: rows of `subset_regressions` or `half_sample_regressions`.

    Returns:
        One row for each feature, the steadiest first: feature, draws (that it was in), negative and positive (shares
        of those), median, low and high (2.5% and 97.5% of its coefficients: a range, not an interval).
    """
    grouped = draws.groupby("feature", sort=False)["coefficient"]
    table = grouped.agg(
        draws="size",
        negative=lambda values: (values < 0).mean(),
        positive=lambda values: (values > 0).mean(),
        median="median",
        low=lambda values: values.quantile(0.025),
        high=lambda values: values.quantile(0.975),
    ).reset_index()
    steadiest = table[["negative", "positive"]].max(axis=1).sort_values(ascending=False, kind="stable")
    return table.loc[steadiest.index].reset_index(drop=True)


def best_subsets(
    data: pd.DataFrame, subsets: pd.DataFrame, *, l1: float = 0.0, folds: int = 10, seed: int = 0
) -> pd.DataFrame:
    """The best subset of each size, and the smallest that is as good as any: which features it takes.

    The best of a size is the one that fits best; sizes are compared by how well they foretell other mazes, and chosen
    is the smallest within one standard error of the best (Hastie, Tibshirani and Friedman 2009, section 7.10).

    Args:
        data: what `subsets` was fitted to.
        subsets: rows of `subset_regressions`.
        l1: as for `regression_coefficients`.
        folds: as for `score_regressions`.
        seed: of the division into folds.

    Returns:
        One row for each size: outcome, size, features (joined by " + "), log_loss (on other mazes), excess (over the
        best size's) with its standard_error, and chosen (bool, true once).

    Raises:
        ValueError: as `score_regressions`.
    """
    outcome = str(subsets["outcome"].iloc[0])
    rows, losses = [], []
    for size, part in subsets.groupby("size"):
        best = part[part["draw"] == part.loc[part["log_loss"].idxmin(), "draw"]]
        y, foretold = _foretell(data, outcome, tuple(best["feature"]), l1, folds, seed)
        losses.append(_log_loss(y, foretold))
        rows.append({"outcome": outcome, "size": size, "features": " + ".join(best["feature"])})
    table = pd.DataFrame(rows).assign(log_loss=[loss.mean() for loss in losses])
    excess = np.array(losses) - losses[int(table["log_loss"].argmin())]
    table["excess"] = excess.mean(axis=1)
    table["standard_error"] = excess.std(axis=1, ddof=1) / np.sqrt(excess.shape[1])
    enough = table["excess"] <= table["standard_error"] + _ROUNDING  # probabilities may be told without any error
    return table.assign(chosen=table.index == enough.idxmax())
