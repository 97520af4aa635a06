"""What policies do at the decision square, level by level."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..analysis.statistics import bootstrap_mean
from .style import (
    CYCLE,
    FAINT,
    INK,
    MUTED,
    TEXT_SIZE,
    add_legend_below,
    measure_label,
    need_columns,
    new_axes,
    set_title,
    tidy,
)

_NAMED = 60
"""Levels that still have room for their seeds."""


def plot_decisions(
    results: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measure: str = "p_cheese_move",
    by: str = "condition",
    title: str = "",
) -> Axes:
    """Draws a probability level by level, of two or more conditions, and their means at the right.

    Levels stand in the order of the first condition's probability, the highest first. With two conditions, a line joins
    the two numbers of each level: before and after. Diamonds are means, with bootstrap 95% intervals. A level where the
    measure is missing for any condition, for want of a decision square, is left out.

    Args:
        results: one row for each condition and level: level, seed, the measure and the column `by`. Those of two
            conditions of `run_experiment`, or of `decide` with a column that says whose they are.
        ax: where to draw; None makes a figure.
        measure: the column to draw.
        by: the column that tells conditions, or policies, apart.
        title: the title; "" names the measure.

    Returns:
        The axes: levels across, the probability up.

    Raises:
        ValueError: if a column is missing, a condition has several rows of one level, or no level is left.
    """
    need_columns(results, ("level", "seed", measure, by), "run_experiment")
    names = list(dict.fromkeys(results[by]))
    if results.duplicated([by, "level"]).any():
        raise ValueError(f"a {by} has several rows of one level; of run_experiment, give the rows of one set")
    wide = results.pivot(index=["level", "seed"], columns=by, values=measure).reindex(columns=names).dropna()
    if wide.empty:
        raise ValueError(f"no level has {measure} for every {by}, so there is nothing to show level by level")
    wide = wide.sort_values(names[0], ascending=False, kind="stable")
    n, place = len(wide), np.arange(len(wide))
    ax = new_axes(ax, 8.0, 3.9)
    if len(names) == 2:
        ax.vlines(place, wide.min(axis=1), wide.max(axis=1), color=FAINT, linewidth=float(np.clip(220 / n, 0.5, 4)))
    gap = max(1.0, 0.045 * n)
    for i, (name, colour) in enumerate(zip(names, (MUTED, *CYCLE * len(names)), strict=False)):
        size = float(np.clip(1400 / n, 5, 34))
        ax.scatter(place, wide[name], s=size, color=colour, linewidths=0, label=name, zorder=2 + i, clip_on=False)
        _draw_mean(ax, n - 1 + gap * 1.5 * (1 + i), wide[name], colour)  # far enough apart for their numbers
    ax.axvline(n - 1 + gap * 0.75, color=FAINT, linewidth=0.8)
    tidy(ax, f"{n} levels, in the order of “{names[0]}”; at the right, means with 95% intervals", "probability")
    ax.set(xlim=(-gap, n - 1 + gap * 1.5 * (len(names) + 1)), ylim=(-0.02, 1.02))
    ax.set_xticks([])
    if n <= _NAMED:
        ax.set_xticks(place, wide.index.get_level_values("seed").astype(str), rotation=90)
        ax.tick_params(axis="x", labelsize=TEXT_SIZE - 2, length=0)
    set_title(ax, title or measure_label(measure))
    add_legend_below(ax, columns=min(3, len(names)), pad=5.5 if n <= _NAMED else 3)
    return ax


def _draw_mean(ax: Axes, x: float, values: pd.Series, colour: str) -> None:
    """A mean with its interval, which takes two levels at least, and its number."""
    mean = float(values.mean())
    low, high = bootstrap_mean(values)[1:3] if len(values) > 1 else (mean, mean)
    ax.errorbar(x, mean, [[mean - low], [high - mean]], fmt="D", color=colour, markersize=6, capsize=3, zorder=9)
    ax.annotate(
        f"{mean:.2f}",
        (x, high),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=TEXT_SIZE,
        color=INK,
    )
