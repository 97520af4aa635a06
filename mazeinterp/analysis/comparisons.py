"""The table of an experiment: means, paired differences to the unedited policy, and removal, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from .evaluation import HEADLINE_DIM
from .experiments import DECISION, EXACT, NO_CHEESE, TEST, UNEDITED
from .statistics import RESAMPLES, Estimate, compare_policies, holm

_REMOVABLE = ("p_cheese_move", "p_cheese")
_BATCH_NUMBERS = 2_000_000  # numbers resampled at a time, which bounds the memory


def compare_conditions(
    results: pd.DataFrame,
    measures: Sequence[str] = (*DECISION, *EXACT),
    *,
    from_dim: int = HEADLINE_DIM,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The table of an experiment: means, paired differences to the unedited policy, and removal.

    Args:
        results: rows of `run_experiment`, with the condition "unedited" and at least one other.
        measures: which; those that were not measured in a set are left out of it.
        from_dim: leaves out smaller mazes: those of side 3 and 5 repeat. 0 leaves out none.
        confidence: of the intervals, in (0, 1).
        seed: of the resampling.

    Returns:
        One row for each set, measure and condition, "unedited" first: set, measure, condition, estimate, low, high, n,
        difference, difference_low, difference_high, p_value, p_holm (as `compare_policies` gives them; Holm's family
        is all tests of the frame), and removal, removal_low, removal_high (as `removal` gives it) of p_cheese_move
        and p_cheese on the test levels, where there is the condition "no cheese" and it differs; else NaN.

    Raises:
        ValueError: if there is no condition "unedited" or nothing but it, or fewer than two levels have a measure.
    """
    counted = results[results["maze_dim"] >= from_dim]
    if set(results["condition"]) == {UNEDITED}:
        raise ValueError(f"{UNEDITED!r} is the only condition, so there is nothing to compare it with")
    frames = []
    for name, part in counted.groupby("set", sort=False):
        known = [measure for measure in measures if part[measure].notna().any()]
        table = compare_policies(
            part.rename(columns={"condition": "policy"}), known, reference=UNEDITED, confidence=confidence, seed=seed
        ).rename(columns={"policy": "condition"})
        table[["removal", "removal_low", "removal_high"]] = np.nan
        if name == TEST and NO_CHEESE in set(table["condition"]):
            _add_removal(table, part, confidence, seed)
        frames.append(table.assign(set=name))
    if not frames:
        raise ValueError(f"none of the levels is of side {from_dim} or more; from_dim=0 counts all")
    compared = pd.concat(frames, ignore_index=True)
    tested = compared["p_value"].notna()
    compared.loc[tested, "p_holm"] = holm(compared.loc[tested, "p_value"])
    compared.insert(0, "set", compared.pop("set"))
    compared.attrs = results.attrs
    return compared


def readable(compared: pd.DataFrame) -> pd.DataFrame:
    """The table of `compare_conditions` as people read it, every number as text: `print(table.to_markdown())`.

    Args:
        compared: its rows, or some of them.

    Returns:
        A row for each set and condition, a column for each measure and for the removal of P(cheese | decision
        square): estimate [low, high]; with a * where the condition differs from the unedited policy (p_holm < 0.05).
    """
    starred = np.where(compared["p_holm"] < 0.05, " *", "")
    cells = [_cell(row.estimate, row.low, row.high) for row in compared.itertuples()]
    texts = compared.assign(cell=[cell + star for cell, star in zip(cells, starred, strict=True)])
    removals = compared[(compared["measure"] == _REMOVABLE[0]) & compared["removal"].notna()]
    shares = [_cell(row.removal, row.removal_low, row.removal_high) for row in removals.itertuples()]
    texts = pd.concat([texts, removals.assign(measure="removal", cell=shares)])
    table = texts.pivot_table("cell", ["set", "condition"], "measure", "first", sort=False)
    columns = [*dict.fromkeys(compared["measure"]), *(["removal"] if shares else [])]
    return table[columns].fillna("").reset_index()


def _cell(estimate: float, low: float, high: float) -> str:
    """Steps to whole ones, probabilities to three decimals: 1e-17 is nothing to a reader."""
    digits = 0 if abs(estimate) >= 10 else 3
    return f"{estimate:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def removal(
    base: ArrayLike,
    changed: ArrayLike,
    blind: ArrayLike,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    *,
    seed: int = 0,
) -> Estimate:
    """How much of the cheese's pull an edit takes away: (base − changed) / (base − blind), each a mean over levels.

    1 is as good as hiding the cheese, 0 is no effect. The interval is a bootstrap interval, bias-corrected and
    accelerated, that resamples whole levels, each with its three numbers.

    Args:
        base: numbers [k], P(cheese | decision square) for instance, of the unedited policy.
        changed: of the edited one, in the same order.
        blind: of the unedited policy that is not shown the cheese.
        groups: [k], the level of each; None: each is a level of its own.
        confidence: of the interval, in (0, 1).
        seed: of the resampling.

    Raises:
        ValueError: if base and blind have the same mean, so that there is nothing to remove; if there are fewer than
            two levels, a number is not finite, or the lengths differ.
    """
    columns = [np.asarray(values, np.float64) for values in (base, changed, blind)]
    members = np.arange(len(columns[0])) if groups is None else np.asarray(groups)
    if any(column.shape != members.shape for column in columns) or not np.isfinite(columns).all():
        raise ValueError(f"finite numbers of one length are needed; got {[column.shape for column in columns]}")
    _, group = np.unique(members, return_inverse=True)
    if group.max(initial=0) < 1:
        raise ValueError(f"an interval needs at least two levels to resample; there are {group.max(initial=-1) + 1}")
    seen, edited, unseen = (np.bincount(group, column).astype(np.float64) for column in columns)
    if seen.sum() == unseen.sum():
        raise ValueError("the policy does the same with and without cheese, so there is nothing to remove")
    share = float(_share(seen, edited, unseen))
    if np.allclose(seen - edited, share * (seen - unseen), rtol=0, atol=1e-12):  # then it is so in every resample
        return Estimate(share, share, share, len(edited))
    interval = stats.bootstrap(
        (seen, edited, unseen),
        _share,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, _BATCH_NUMBERS // len(edited)),
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Estimate(share, float(interval.low), float(interval.high), len(edited))


def _share(
    base: NDArray[np.float64], changed: NDArray[np.float64], blind: NDArray[np.float64], axis: int = -1
) -> NDArray[np.float64]:
    total = base.sum(axis=axis)
    return np.asarray((total - changed.sum(axis=axis)) / (total - blind.sum(axis=axis)))


def _add_removal(table: pd.DataFrame, results: pd.DataFrame, confidence: float, seed: int) -> None:
    """Fills in the removal columns of a `compare_policies` table."""
    for measure in set(_REMOVABLE) & set(table["measure"]):
        wide = results.pivot(index="level", columns="condition", values=measure).dropna()
        if wide[UNEDITED].sum() == wide[NO_CHEESE].sum():
            continue
        for row in table.index[table["measure"] == measure]:
            changed = wide[table.loc[row, "condition"]]
            found = removal(wide[UNEDITED], changed, wide[NO_CHEESE], confidence=confidence, seed=seed)
            table.loc[row, ["removal", "removal_low", "removal_high"]] = found[:3]
