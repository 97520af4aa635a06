"""The tables of a retargeting: conditions compared on the same targets, and what makes a target hard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .comparisons import removal
from .evaluation import HEADLINE_DIM
from .retargeting import CHEESE_MOVED, NO_EDIT, RANDOM_CHANNELS
from .statistics import Estimate, bootstrap_mean, holm, paired_difference


def compare_retargeting(results: pd.DataFrame, *, from_dim: int = HEADLINE_DIM, seed: int = 0) -> pd.DataFrame:
    """The table of a retargeting: mean path probabilities, paired differences, and the share of the way to the ceiling.

    Differences are paired by level and target. Intervals resample whole levels; the test is the sign-flip test on the
    levels' mean differences.

    Args:
        results: rows of `retarget`.
        from_dim: leaves out smaller mazes: those of side 3 and 5 repeat. 0 leaves out none.
        seed: of the resampling.

    Returns:
        One row for each condition and for each reference, which are "no edit" and, if it is there, "random channels":
        condition, estimate, low, high (95%), n (levels), targets (level and target pairs), reference, difference,
        difference_low, difference_high, p_value, p_holm (over the frame); and, to "no edit" only, share, share_low,
        share_high: (condition − no edit) / (cheese moved − no edit). "no edit" itself has a row with its estimate.

    Raises:
        ValueError: fewer than two levels are left.
    """
    counted = results[results["maze_dim"] >= from_dim]
    if counted["level"].nunique() < 2:
        raise ValueError(
            f"{counted['level'].nunique()} levels are of side {from_dim} or more; an interval needs two at least"
        )
    wide = counted.pivot(index=["level", "x", "y"], columns="condition", values="probability")
    group = wide.index.get_level_values("level").to_numpy()
    rows: list[dict[str, object]] = []
    for name in dict.fromkeys(counted["condition"]):
        estimate = bootstrap_mean(wide[name], group, seed=seed)
        row = {"condition": name} | estimate._asdict() | {"targets": len(wide)}
        if name == NO_EDIT:
            rows.append(row)
        for reference in (NO_EDIT, RANDOM_CHANNELS):
            if name in (NO_EDIT, reference) or reference not in wide:
                continue
            difference = wide[name] - wide[reference]
            mean = bootstrap_mean(difference, group, seed=seed)
            by_level = difference.groupby("level").mean()
            test = {"reference": reference, "difference": mean.estimate, "difference_low": mean.low}
            test |= {"difference_high": mean.high}
            test["p_value"] = paired_difference(by_level, np.zeros(len(by_level)), seed=seed).p_value
            if reference == NO_EDIT:
                share = removal(wide[NO_EDIT], wide[name], wide[CHEESE_MOVED], group, seed=seed)
                test |= {"share": share.estimate, "share_low": share.low, "share_high": share.high}
            rows.append(row | test)
    columns = ["condition", "estimate", "low", "high", "n", "targets", "reference", "difference", "difference_low"]
    columns += ["difference_high", "p_value", "p_holm", "share", "share_low", "share_high"]
    frame = pd.DataFrame(rows, columns=columns).astype({"p_holm": float})
    tested = frame["p_value"].notna()
    frame.loc[tested, "p_holm"] = holm(frame.loc[tested, "p_value"])
    return frame


def retargeting_by(
    results: pd.DataFrame, column: str, edges: Sequence[float] | None = None, *, seed: int = 0
) -> pd.DataFrame:
    """Path probabilities by what may make a target hard: its distance from the start–corner path, the maze's size.

    Args:
        results: rows of `retarget`.
        column: "off_path", "steps" or "maze_dim".
        edges: ends of bins: of the values from one end up to, not including, the next. None: each value by itself.
        seed: of the resampling.

    Returns:
        One row for each condition and bin that has targets: condition, from (the bin's least value) and to (its
        greatest, both of what is there), middle (the mean value), estimate, low, high (95%, clustered by level; NaN
        with fewer than two levels), n (levels), targets.

    Raises:
        ValueError: there is no such column.
    """
    if column not in ("off_path", "steps", "maze_dim"):
        raise ValueError(f"no targets are told apart by {column!r}; there are off_path, steps and maze_dim")
    values = results[column]
    bins = values if edges is None else np.digitize(values, np.asarray(edges, float))
    rows = []
    for (name, _), part in results.groupby(["condition", np.asarray(bins)], sort=True):
        estimate = Estimate(float(part["probability"].mean()), np.nan, np.nan, 1)
        if part["level"].nunique() > 1:
            estimate = bootstrap_mean(part["probability"], part["level"], seed=seed)
        row = {"condition": name, "from": part[column].min(), "to": part[column].max(), "middle": part[column].mean()}
        row |= estimate._asdict() | {"targets": len(part)}
        rows.append(row)
    order = {name: i for i, name in enumerate(dict.fromkeys(results["condition"]))}
    frame = pd.DataFrame(rows)
    return frame.sort_values("condition", key=lambda names: names.map(order), kind="stable", ignore_index=True)
