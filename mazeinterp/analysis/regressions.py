"""What foretells that the mouse gets the cheese: logistic regressions on the published features, honestly scored.

Each takes the table of `mazeinterp.analysis.behaviour` and one of its outcomes. An outcome that is a probability is
regressed by the same likelihood (fractional logit, Papke and Wooldridge 1996), and accuracy is then that of foretelling
an episode drawn with it. Features are standardised, so a coefficient is the change of log-odds per standard deviation.
Whatever is scored is scored on other mazes than it was fitted to: folds keep equal layouts together.

Correlated features share their influence in ways that no regression can tell apart. So beside the coefficients stand
their variance inflation factors, in `mazeinterp.analysis.subsets` their signs over all subsets of the features and over
halves of the mazes, and in `mazeinterp.analysis.minimal_pairs` mazes that differ in one distance only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.special import expit, xlogy
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from .behaviour import FEATURES
from .statistics import compare_policies, holm

THREE = ("euclid_cheese_corner", "steps_cheese_decision", "euclid_cheese_decision")
"""The features that the published statistics end up with."""

SIX = (*THREE, "steps_cheese_corner", "euclid_cheese_5x5", "steps_cheese_5x5")
"""Those that foretell more than the baseline, each alone, in the published statistics."""

TEN = tuple(name for name in FEATURES if name != "steps_cheese_corner")
"""All but the one that is the sum of two others in a maze without loops."""

MODELS: Mapping[str, tuple[str, ...]] = {"three": THREE, "six": SIX, "ten": TEN} | {name: (name,) for name in FEATURES}
"""The regressions by name: the published multiple ones, all features, and each feature alone."""

MAJORITY = "majority"
"""The baseline: the outcome that is the more frequent in the mazes that a model is fitted to, and its rate."""

PUBLISHED_ACCURACY: Mapping[str, float] = {
    MAJORITY: 0.714,
    "three": 0.824,
    "six": 0.841,
    "euclid_cheese_5x5": 0.775,
    "euclid_cheese_corner": 0.773,
    "euclid_cheese_decision": 0.761,
    "steps_cheese_decision": 0.754,
    "steps_cheese_5x5": 0.735,
    "steps_cheese_corner": 0.732,
    "cheese_norm": 0.713,
    "euclid_decision_corner": 0.712,
    "steps_decision_corner": 0.709,
    "steps_decision_5x5": 0.708,
    "euclid_decision_5x5": 0.708,
}
"""Of the published network, on 5,239 levels with a decision square (Grietzer and Turner 2023)."""

PUBLISHED_COEFFICIENTS: Mapping[str, Mapping[str, float]] = {
    "three": {
        "euclid_cheese_corner": -1.405,
        "steps_cheese_decision": -0.577,
        "euclid_cheese_decision": -0.516,
        "intercept": 1.355,
    },
    "six": {
        "euclid_cheese_corner": -2.522,
        "steps_cheese_decision": -1.200,
        "euclid_cheese_decision": -0.523,
        "steps_cheese_corner": 1.142,
        "euclid_cheese_5x5": 0.282,
        "steps_cheese_5x5": -0.003,
        "intercept": 1.418,
    },
}
"""Per standard deviation, with an L1 penalty of 1, on the same levels."""

_ROUNDING = 1e-9  # a share below this is none


def regression_coefficients(
    data: pd.DataFrame,
    outcome: str = "found",
    models: Mapping[str, Sequence[str]] = MODELS,
    *,
    l1: float = 0.0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The coefficients of regressions, each fitted to all levels.

    Args:
        data: rows of `measure_behaviour`; those where the outcome is missing are left out.
        outcome: the column to foretell, in [0, 1]: "found", "p_cheese", "p_cheese_move" or one of your own.
        models: the predictors of each regression, by name.
        l1: weight of an L1 penalty beside the summed log-loss; 0 is none, the published regressions used 1.
        confidence: of the intervals, in (0, 1).

    Returns:
        One row for each model and predictor, and one for its intercept: outcome, model, l1, feature, coefficient, low,
        high, p_value, p_holm (adjusted for all predictors of the frame), vif (variance inflation factor within the
        model) and n. Intervals and tests are Wald's, with standard errors that are robust to misspecification and
        clustered by layout; they are NaN with a penalty, which has no such theory (`half_sample_regressions` shows how
        far its coefficients wander), as vif is for intercepts.

    Raises:
        ValueError: if a column is missing, the outcome is out of [0, 1] or has one value only, a predictor is
            constant, or, without penalty, predictors are linearly dependent or separate the outcomes perfectly.
    """
    frames = []
    for name, predictors in models.items():
        x, y, groups = _arrays(data, outcome, predictors)
        complete = data[data[outcome].notna()]
        names, vif = ["intercept", *predictors], [np.nan, *variance_inflation(complete, predictors)["vif"]]
        nothing = np.full(len(names), np.nan)
        low, high, p_value = nothing, nothing, nothing
        if l1 > 0:
            intercept, slopes = _fit(x, y, l1)
            estimates = np.concatenate([[intercept], slopes])
        else:
            _check_independent(x, predictors)
            result = _generalised(x, y, groups)
            estimates, p_value = result.params, result.pvalues
            low, high = result.conf_int(1 - confidence).T
        columns = {"coefficient": estimates, "low": low, "high": high, "p_value": p_value, "p_holm": np.nan}
        rows = pd.DataFrame({"feature": names} | columns | {"vif": vif, "n": len(y)})
        frames.append(rows.assign(outcome=outcome, model=name, l1=float(l1)))
    table = pd.concat(frames, ignore_index=True)
    tested = (table["feature"] != "intercept") & table["p_value"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_value"])
    return table[["outcome", "model", "l1", *frames[0].columns.drop(["outcome", "model", "l1"])]]


def variance_inflation(data: pd.DataFrame, predictors: Sequence[str] = FEATURES) -> pd.DataFrame:
    """Variance inflation factors: how much worse a coefficient is known because other predictors say the same.

    Args:
        data: rows of `maze_features` or `measure_behaviour`.
        predictors: the features that are in a regression together.

    Returns:
        One row for each: feature, vif: 1 / (1 − R²) of its regression on the others, infinite where they determine it.
        Above 4 is commonly taken as a warning.

    Raises:
        ValueError: if a column is missing or constant.
    """
    x, _, _ = _arrays(data, None, predictors)
    factors = []
    for i in range(len(predictors)):
        others = np.delete(x, i, axis=1)
        unexplained = np.mean((x[:, i] - others @ np.linalg.lstsq(others, x[:, i])[0]) ** 2)
        factors.append(1 / unexplained if unexplained > _ROUNDING else np.inf)
    return pd.DataFrame({"feature": list(predictors), "vif": factors})


def score_regressions(
    data: pd.DataFrame,
    outcome: str = "found",
    models: Mapping[str, Sequence[str]] = MODELS,
    *,
    l1: float = 0.0,
    folds: int = 10,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """How well regressions foretell the outcome in mazes that they were not fitted to, beside the majority baseline.

    Args:
        data: as for `regression_coefficients`.
        outcome: as for `regression_coefficients`.
        models: as for `regression_coefficients`.
        l1: as for `regression_coefficients`.
        folds: parts of the levels, each foretold by what was fitted to the others, at least 2. Levels with the same
            walls are in one part.
        confidence: of the intervals, in (0, 1).
        seed: of the division into parts and of the resampling.

    Returns:
        One row for each measure (accuracy, log_loss in nats) and model, "majority" first: the columns of
        `compare_policies` with the model in place of the policy, and outcome, l1, ceiling: the best that any
        foreteller can do: 1 and 0 for an outcome that is yes or no, less where it is a probability.

    Raises:
        ValueError: as `regression_coefficients`; if there are fewer layouts than folds.
    """
    frames = []
    for name, predictors in ({MAJORITY: ()} | dict(models)).items():
        y, foretold = _foretell(data, outcome, tuple(predictors), l1, folds, seed)
        accuracy = np.where(foretold > 0.5, y, 1 - y)
        yes_or_no = bool(np.isin(y, (0, 1)).all())
        frames.append(
            pd.DataFrame(
                {
                    "policy": name,
                    "level": np.arange(len(y)),
                    "accuracy": accuracy.astype(bool) if yes_or_no else accuracy,
                    "log_loss": _log_loss(y, foretold),
                }
            )
        )
    ceilings = {"accuracy": float(np.maximum(y, 1 - y).mean()), "log_loss": float(_log_loss(y, y).mean())}
    measures = ("accuracy", "log_loss")
    scored = compare_policies(
        pd.concat(frames, ignore_index=True), measures, reference=MAJORITY, confidence=confidence, seed=seed
    ).rename(columns={"policy": "model"})
    return scored.assign(outcome=outcome, l1=float(l1), ceiling=scored["measure"].map(ceilings))


def _arrays(
    data: pd.DataFrame, outcome: str | None, predictors: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Standardised predictors [n, k], outcomes [n] and layouts [n] of the rows whose outcome is known."""
    missing = [name for name in (*predictors, *([outcome] if outcome else []), "layout") if name not in data]
    if missing:
        raise ValueError(f"the table lacks {', '.join(missing)}; `measure_behaviour` makes such a table")
    rows = data if outcome is None else data[data[outcome].notna()]
    x = rows[list(predictors)].to_numpy(np.float64)
    y = np.zeros(len(rows)) if outcome is None else rows[outcome].to_numpy(np.float64)
    if outcome is not None and not (len(y) and -_ROUNDING <= y.min() < y.max() <= 1 + _ROUNDING):
        span = f"from {y.min()} to {y.max()}" if len(y) else "missing everywhere"
        raise ValueError(f"{outcome!r} is {span} in {len(y)} levels; it must vary, within [0, 1]")
    constant = [name for name, spread in zip(predictors, np.ptp(x, axis=0), strict=True) if spread == 0]
    if constant:
        raise ValueError(f"{constant[0]!r} is the same in all {len(x)} levels, so it cannot foretell anything")
    return (x - x.mean(axis=0)) / x.std(axis=0), y.clip(0, 1), np.unique(rows["layout"], return_inverse=True)[1]


def _dependent(x: NDArray[np.float64]) -> bool:
    return bool(np.linalg.eigvalsh(x.T @ x / len(x))[0] < _ROUNDING)


def _check_independent(x: NDArray[np.float64], predictors: Sequence[str]) -> None:
    if _dependent(x):
        raise ValueError(
            f"{', '.join(predictors)} are linearly dependent, so no regression can tell them apart; leave one out (in "
            "a maze without loops, steps_cheese_corner = steps_cheese_decision + steps_decision_corner)"
        )


def _generalised(x: NDArray[np.float64], y: NDArray[np.float64], groups: NDArray[np.int64]) -> Any:
    model = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial())
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # on its way to the check below
        warnings.simplefilter("ignore", PerfectSeparationWarning)  # probabilities may be told perfectly, and well
        result = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
        error = np.abs(y - expit(model.exog @ result.params)).max()
    if np.isin(y, (0, 1)).all() and error < 1e-4:
        raise ValueError(
            f"the predictors separate the outcomes of the {len(y)} levels perfectly, so the coefficients have no "
            "bounds; give more levels, or a penalty (l1=1)"
        )
    return result


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], l1: float) -> tuple[float, NDArray[np.float64]]:
    """Intercept and slopes. A level whose outcome is p counts as p of a level with yes, and 1 − p of one with no."""
    weights = np.concatenate([y, 1 - y])
    used = weights > 0
    targets = np.repeat([1, 0], len(y))[used]
    if l1 > 0:
        model = LogisticRegression(C=1 / l1, l1_ratio=1.0, solver="saga", tol=1e-5, max_iter=10_000, random_state=0)
    else:
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
    model.fit(np.concatenate([x, x])[used], targets, sample_weight=weights[used])
    return float(model.intercept_[0]), model.coef_[0]


def _foretell(
    data: pd.DataFrame, outcome: str, predictors: tuple[str, ...], l1: float, folds: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outcomes [n], and their probabilities [n] as foretold by fits to the other folds; no predictors: their rate."""
    x, y, groups = _arrays(data, outcome, predictors)
    foretold = np.empty(len(y))
    for fitted, told in _folds(groups, folds, seed):
        if predictors:
            intercept, slopes = _fit(x[fitted], y[fitted], l1)
            foretold[told] = expit(intercept + x[told] @ slopes)
        else:
            foretold[told] = y[fitted].mean()
    return y, foretold


def _folds(groups: NDArray[np.int64], folds: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    if not 2 <= folds <= groups.max() + 1:
        raise ValueError(f"folds is {folds}; there are {groups.max() + 1} layouts, and 2 to that many folds")
    return GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)


def _log_loss(y: NDArray[np.float64], foretold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross-entropy of each level, in nats; nothing that is foretold is counted as certain."""
    p = np.clip(foretold, 1e-12, 1 - 1e-12)
    return -(xlogy(y, p) + xlogy(1 - y, 1 - p))
