"""What linear probes read off a network's layers, against what they read off shuffled labels."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..analysis.probes import KINDS
from .style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    TEXT_SIZE,
    add_legend,
    layer_label,
    need_columns,
    new_axes,
    of_measure,
    set_title,
    tidy,
)

_COLOURS = dict(zip(KINDS, (BLUE, ORANGE, GREEN), strict=True))
_MARKERS = dict(zip(KINDS, ("o", "s", "D"), strict=True))
_LABELS = {
    "auc": "AUC, each level's by itself",
    "near": "share of levels in which it is placed within one cell",
    "accuracy": "share of levels answered right",
}


def plot_probes(
    table: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measure: str = "auc",
    title: str = "Linear probes",
    subtitle: str = "",
) -> Axes:
    """Draws what each kind of probe reaches, by target and layer.

    Args:
        table: rows of `probe_squares` or `probe_levels`.
        ax: where to draw; None makes a figure.
        measure: "auc", "near" or "accuracy".
        title: the title.
        subtitle: what it is about: the policy, the levels.

    Returns:
        The axes: targets and, in each, layers down; the measure across. Filled marks are of true labels, hollow ones of
        shuffled ones, bars their 95% intervals, and black ticks chance.

    Raises:
        ValueError: a column or the measure is missing.
    """
    columns = ("layer", "target", "probe", "labels", "measure", "estimate", "low", "high", "chance")
    need_columns(table, columns, "probe_squares")
    rows = of_measure(table, measure)
    places = list(dict.fromkeys(zip(rows["target"], rows["layer"], strict=True)))
    places.sort(key=lambda place: list(dict.fromkeys(rows["target"])).index(place[0]))
    ax = new_axes(ax, 7.4, 1.9 + 0.42 * len(places))
    for y, (target, layer) in enumerate(places):
        own = rows[(rows["target"] == target) & (rows["layer"] == layer)]
        chance = float(own["chance"].iloc[0])
        ax.plot([chance] * 2, [y - 0.36, y + 0.36], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=2)
        for k, kind in enumerate(KINDS):
            for labels in ("true", "shuffled"):
                (row,) = own[(own["probe"] == kind) & (own["labels"] == labels)].itertuples()
                at, true = y + 0.22 * (k - 1), labels == "true"
                ax.plot([row.low, row.high], [at] * 2, color=_COLOURS[kind], linewidth=1.4, alpha=1 if true else 0.5)
                ax.scatter(
                    row.estimate,
                    at,
                    s=26,
                    marker=_MARKERS[kind],
                    facecolors=_COLOURS[kind] if true else "white",
                    edgecolors=_COLOURS[kind],
                    zorder=3,
                )
        if y and places[y - 1][0] != target:
            ax.axhline(y - 0.5, color=FAINT, linewidth=0.8, zorder=1)
    tidy(ax, _LABELS.get(measure, measure), grid="x")
    ax.set_yticks(range(len(places)), [f"{target}, {layer_label(layer)}" for target, layer in places])
    ax.set_ylim(len(places) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0, labelsize=TEXT_SIZE - 0.5)
    set_title(ax, title, subtitle)
    kinds = [(_MARKERS[kind], _COLOURS[kind], _COLOURS[kind], f"{kind} probe") for kind in KINDS]
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=edge, markerfacecolor=face, markersize=5, label=label)
        for marker, edge, face, label in (*kinds, ("o", MUTED, "white", "labels shuffled"), ("|", INK, INK, "chance"))
    ]
    add_legend(ax, columns=3, handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.2)
    return ax
