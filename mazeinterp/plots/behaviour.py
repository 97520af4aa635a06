"""What foretells that the mouse gets the cheese, what each distance does by itself, and policy beside value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..analysis.regressions import PUBLISHED_COEFFICIENTS, THREE
from ..analysis.statistics import bootstrap_mean
from .intervals import plot_intervals
from .style import (
    CYCLE,
    DASHES,
    INK,
    MEASURE_COLOURS,
    MUTED,
    ORANGE,
    TEXT_SIZE,
    add_legend_below,
    error_bars,
    measure_label,
    need_columns,
    new_axes,
    new_row,
    of_measure,
    set_title,
    tidy,
)

FEATURE_LABELS: Mapping[str, str] = {
    "euclid_cheese_decision": "cheese – decision square, straight",
    "steps_cheese_decision": "cheese – decision square, steps",
    "euclid_cheese_corner": "cheese – corner, straight",
    "steps_cheese_corner": "cheese – corner, steps",
    "euclid_cheese_5x5": "cheese – 5×5, straight",
    "steps_cheese_5x5": "cheese – 5×5, steps",
    "euclid_decision_corner": "decision square – corner, straight",
    "steps_decision_corner": "decision square – corner, steps",
    "euclid_decision_5x5": "decision square – 5×5, straight",
    "steps_decision_5x5": "decision square – 5×5, steps",
    "cheese_norm": "norm of the cheese's coordinates",
    "control_walls": "control: walls changed, no distance",
    "control_cheese": "control: cheese moved, no distance",
}
"""Features, and the controls among minimal pairs, as people read them."""

OUTCOME_LABELS: Mapping[str, str] = {"found": "got the cheese, one episode"}
"""Outcomes that have no such label among the measures."""


def plot_coefficients(
    table: pd.DataFrame, ax: Axes | None = None, *, model: str = "six", outcome: str = "found", policy: str = ""
) -> Axes:
    """Draws the coefficients of a regression with their intervals, and the published ones beside them.

    Args:
        table: rows of `regression_coefficients`, without penalty.
        ax: where to draw; None makes a figure.
        model: which regression.
        outcome: of which outcome.
        policy: the policy's name, for the line below the title.

    Returns:
        The axes: features down, the change of log-odds per standard deviation across.

    Raises:
        ValueError: if a column is missing, or there is no such regression without penalty.
    """
    need_columns(
        table, ("outcome", "model", "l1", "feature", "coefficient", "low", "high", "n"), "regression_coefficients"
    )
    rows = table[(table["model"] == model) & (table["outcome"] == outcome) & (table["l1"] == 0)]
    rows = rows[rows["feature"] != "intercept"]
    if rows.empty:
        known = ", ".join(sorted({f"{row.model} of {row.outcome}" for row in table[table["l1"] == 0].itertuples()}))
        raise ValueError(f"no regression {model!r} of {outcome!r} without penalty; there are {known or 'none'}")
    published = PUBLISHED_COEFFICIENTS.get(model, {})
    shown = pd.DataFrame(
        {
            "label": rows["feature"].map(FEATURE_LABELS),
            "estimate": rows["coefficient"],
            "low": rows["low"],
            "high": rows["high"],
            "published": [published.get(name, np.nan) for name in rows["feature"]],
        }
    )
    ax = plot_intervals(shown, ax, x_label="change of log-odds per standard deviation", reference=0)
    about = f"regression “{model}” of {_outcome_label(outcome)}, {rows['n'].iloc[0]} levels"
    set_title(ax, "what foretells the cheese", f"{policy}: {about}" if policy else about)
    return ax


def plot_influence(
    data: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    outcome: str = "found",
    predictors: Sequence[str] = THREE,
    bins: int = 10,
    policy: str = "",
) -> tuple[Axes, ...]:
    """Draws the mean outcome against each of some features, in bins of equally many levels, with 95% bands.

    Args:
        data: rows of `measure_behaviour`.
        axes: where to draw, one for each feature; None makes a figure.
        outcome: the column to draw, a probability or 0 and 1.
        predictors: the features.
        bins: number of bins, at least 2; fewer where values repeat.
        policy: the policy's name, for the line below the title.

    Returns:
        The axes: a feature across, the outcome up.

    Raises:
        ValueError: if a column is missing, no level has the outcome, or bins is below 2.
    """
    need_columns(data, (outcome, *predictors), "measure_behaviour")
    known = data[data[outcome].notna()]
    if known.empty or bins < 2:
        raise ValueError(f"{len(known)} levels have {outcome} and bins is {bins}; levels and at least 2 are needed")
    panels = new_row(axes, len(predictors), 3.3, 3.1)
    for i, (ax, name) in enumerate(zip(panels, predictors, strict=True)):
        part = known.groupby(pd.qcut(known[name], bins, duplicates="drop"), observed=True)
        middle = part[name].mean()
        means = [bootstrap_mean(values) for _, values in part[outcome] if len(values) > 1]
        rows = pd.DataFrame(means, index=middle[part.size() > 1])
        colour = MEASURE_COLOURS.get(outcome, ORANGE)
        ax.fill_between(rows.index, rows["low"], rows["high"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(rows.index, rows["estimate"], "o-", color=colour, markersize=4.5)
        unit = "steps" if name.startswith("steps") else "cells"
        tidy(ax, f"{FEATURE_LABELS.get(name, name).split(',')[0]}, {unit}", _outcome_label(outcome) if i == 0 else "")
        ax.set_ylim(-0.03, 1.03)
        ax.set_xlim(left=0)
    about = f"{len(known)} levels, 95% bands"
    set_title(panels[0], "the cheese by distance", f"{policy}: {about}" if policy else about)
    return panels


def plot_minimal_pairs(
    compared: pd.DataFrame, ax: Axes | None = None, *, measure: str = "p_cheese_move", policy: str = ""
) -> Axes:
    """Draws what each distance does by itself: the mean difference between the mazes of minimal pairs.

    Args:
        compared: rows of `compare_pairs`.
        ax: where to draw; None makes a figure.
        measure: the measure to draw.
        policy: the policy's name, for the line below the title.

    Returns:
        The axes: kinds of pairs down, controls in grey; the difference across.

    Raises:
        ValueError: if a column or the measure is missing.
    """
    need_columns(compared, ("kind", "measure", "change", "difference", "low", "high", "p_holm", "n"), "compare_pairs")
    rows = of_measure(compared, measure).rename(columns={"difference": "estimate"}).reset_index(drop=True)
    ax = new_axes(ax, 7.2, 1.4 + 0.42 * len(rows))
    is_control = rows["change"].isna()
    for control, colour in ((False, MEASURE_COLOURS.get(measure, CYCLE[0])), (True, MUTED)):
        part = rows[is_control == control]
        ax.errorbar(
            part["estimate"],
            part.index,
            xerr=error_bars(part),
            fmt="s" if control else "o",
            color=colour,
            markersize=6,
            capsize=2.5,
        )
    ax.axvline(0, color=MUTED, linewidth=1, zorder=1)
    labels = []
    for row in rows.itertuples():
        unit = "steps" if row.kind.startswith("steps") else "cells"
        further = "" if np.isnan(row.change) else f"  (+{row.change:.1f} {unit})"
        labels.append(FEATURE_LABELS.get(row.kind, row.kind) + further)
        text = f"{row.estimate:+.3f}{' *' if row.p_holm < 0.05 else ''}".replace("-", "−")
        ax.annotate(
            text,
            (row.estimate, row.Index),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=TEXT_SIZE - 1,
            color=INK,
        )
    tidy(ax, f"{measure_label(measure)}, farther − nearer", grid="x")
    ax.set_yticks(range(len(rows)), labels)
    ax.set_ylim(len(rows) - 0.4, -0.7)
    ax.tick_params(axis="y", length=0)
    fewest, most = rows["n"].min(), rows["n"].max()
    about = f"{fewest if fewest == most else f'{fewest} to {most}'} pairs a row, 95% intervals; * Holm p < 0.05"
    set_title(ax, "each distance by itself", f"{policy}: {about}" if policy else about)
    return ax


def plot_agreement(
    ranges: pd.DataFrame,
    ax: Axes | None = None,
    *,
    by: str = "levels",
    x_label: str = "steps to the cheese",
    policy: str = "",
) -> Axes:
    """Draws how often the most likely move leads where the value head prefers to be, by distance.

    Args:
        ranges: rows of `agreement_by_distance`, of one or several sets of levels with a column that says which.
        ax: where to draw; None makes a figure.
        by: that column.
        x_label: what goes across.
        policy: the policy's name, for the line below the title.

    Returns:
        The axes: distance across, agreement up; a broken line is what a random neighbour would reach.

    Raises:
        ValueError: if a column is missing.
    """
    need_columns(ranges, (by, "mean_steps", "estimate", "low", "high", "chance"), "agreement_by_distance")
    ax = new_axes(ax, 6.4, 3.6)
    for (name, part), colour in zip(ranges.groupby(by, sort=False), CYCLE, strict=False):
        ax.fill_between(part["mean_steps"], part["low"], part["high"], color=colour, alpha=0.2, linewidth=0)
        ax.plot(part["mean_steps"], part["estimate"], "o-", color=colour, markersize=4.5, label=str(name))
        ax.plot(part["mean_steps"], part["chance"], color=MUTED, linewidth=1, linestyle=DASHES[0])
    ax.plot([], [], color=MUTED, linewidth=1, linestyle=DASHES[0], label="a random neighbour")
    tidy(ax, x_label, "policy and value agree")
    ax.set_ylim(0, 1.02)
    about = "most likely move leads to the neighbour of the highest value; 95% bands, clustered by level"
    set_title(ax, "do policy and value agree?", f"{policy}: {about}" if policy else about)
    add_legend_below(ax, columns=3)
    return ax


def _outcome_label(outcome: str) -> str:
    return OUTCOME_LABELS.get(outcome, measure_label(outcome))
