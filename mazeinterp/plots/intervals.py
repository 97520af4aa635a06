"""Numbers with their intervals, one below the other, and what was published beside them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .style import (
    BLUE,
    INK,
    MUTED,
    TEXT_SIZE,
    add_legend_below,
    error_bars,
    need_columns,
    new_axes,
    set_title,
    tidy,
)


def plot_intervals(
    rows: pd.DataFrame,
    ax: Axes | None = None,
    *,
    x_label: str = "",
    measured: str = "measured, with its 95% interval",
    reference: float | None = None,
    title: str = "",
) -> Axes:
    """Draws estimates with their intervals, a row for each, and published numbers as hollow diamonds.

    Args:
        rows: label, estimate, low, high and published (NaN where nothing was), from the top down.
        ax: where to draw; None makes a figure.
        x_label: what goes across.
        measured: what a dot and its bar are.
        reference: where to draw a line to compare with, such as 0.
        title: the title.

    Returns:
        The axes: labels down, numbers across.

    Raises:
        ValueError: if a column is missing.
    """
    need_columns(rows, ("label", "estimate", "low", "high", "published"), "the caller")
    ax = new_axes(ax, 7.0, 1.3 + 0.3 * len(rows))
    y = np.arange(len(rows))
    ax.errorbar(
        rows["estimate"],
        y,
        xerr=error_bars(rows),
        fmt="o",
        color=BLUE,
        markersize=5.5,
        capsize=2,
        label=measured,
    )
    if rows["published"].notna().any():
        ax.scatter(
            rows["published"], y, marker="D", s=42, facecolors="white", edgecolors=INK, label="published", zorder=3
        )
    if reference is not None:
        ax.axvline(reference, color=MUTED, linewidth=1, zorder=1)
    tidy(ax, x_label, grid="x")
    ax.set_yticks(y, rows["label"])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, labelsize=TEXT_SIZE - 0.5)
    set_title(ax, title)
    add_legend_below(ax, columns=2)
    return ax
