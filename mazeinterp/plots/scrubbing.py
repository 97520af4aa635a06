"""What resampling channels from other mazes changes, with the cheese at the same place and at another."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from ..analysis.scrubbing import ANOTHER, FOUND, MEASURES, RANDOM, SAME
from .style import (
    BLUE,
    ORANGE,
    TEXT_SIZE,
    add_legend_below,
    error_bars,
    need_columns,
    new_axes,
    of_measure,
    set_title,
    tidy,
)

_LABELS = {"total_variation": "mean total variation distance", "arrow_change": "published quantity, ‖Δarrows‖ / 2n"}


def plot_scrubbing(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measure: str = MEASURES[0],
    title: str = "Resampling channels",
    subtitle: str = "",
) -> Axes:
    """Draws the change of the moves for found and random channels, side by side for the two places of the cheese.

    Args:
        table: a table of `compare_scrubbing`.
        ax: where to draw; None makes a figure.
        measure: "total_variation" or "arrow_change".
        title: the title.
        subtitle: what it is about: the policy, the layer, the channels.

    Returns:
        The axes: sets across, the change up, in per cent.

    Raises:
        ValueError: a column or the measure is missing.
    """
    need_columns(table, ("measure", "set", "place", "estimate", "low", "high"), "compare_scrubbing")
    rows = of_measure(table, measure)
    ax = new_axes(ax, 4.6, 3.8)
    for place, colour, shift, marker in ((SAME, BLUE, -0.12, "o"), (ANOTHER, ORANGE, 0.12, "s")):
        part = rows[rows["place"] == place].set_index("set").loc[[FOUND, RANDOM]]
        across = [shift, 1 + shift]
        bars = 100 * error_bars(part)
        label = f"cheese at {'the ' if place == SAME else ''}{place}"
        ax.errorbar(
            across, 100 * part["estimate"], bars, fmt=marker, color=colour, markersize=7, capsize=0, label=label
        )
    ax.set_xticks([0, 1], [f"{FOUND} channels", f"{RANDOM} channels"], fontsize=TEXT_SIZE)
    ax.set_xlim(-0.5, 1.5)
    ax.set_ylim(bottom=0)
    tidy(ax, "", f"{_LABELS.get(measure, measure)} (%)")
    set_title(ax, title, subtitle)
    add_legend_below(ax, columns=2, pad=2.6)
    return ax
