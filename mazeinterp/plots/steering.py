"""What becomes of steering vectors that are taken elsewhere, moved, averaged, or put together."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke

from .style import (
    BLUE,
    CYCLE,
    DASHES,
    HEAT,
    INK,
    MUTED,
    TEXT_SIZE,
    VERMILION,
    add_legend_below,
    error_bars,
    measure_label,
    need_columns,
    new_axes,
    of_measure,
    set_title,
    tidy,
)

_REMOVALS = (-0.6, 1.6)
"""What is shown of a removal; an interval of a few pairs may reach far beyond."""

_AS_GOOD, _NOTHING = "as good as no cheese", "no effect"


def plot_transfer(bands: pd.DataFrame, ax: Axes | None = None, *, title: str = "Transfer between mazes") -> Axes:
    """Draws how much of the cheese's pull another maze's vector removes, by how far apart the two cheeses are.

    Args:
        bands: a table of `transfer`: moved, from_distance, to_distance, pairs, removal, removal_low, removal_high.
        ax: where to draw; None makes a figure.
        title: the title.

    Returns:
        The axes: bands of distance across, the removal up; under each band, the number of pairs of mazes in it.

    Raises:
        ValueError: if a column is missing.
    """
    columns = ("moved", "from_distance", "to_distance", "pairs", "removal", "removal_low", "removal_high")
    need_columns(bands, columns, "transfer")
    ax = new_axes(ax, 6.8, 4.0)
    edges = bands[["from_distance", "to_distance"]].drop_duplicates().sort_values("from_distance")
    place = {first: i for i, first in enumerate(edges["from_distance"])}
    for moved, label, colour, shift in (
        (False, "as it is", VERMILION, -0.06),
        (True, "moved onto this maze's cheese", BLUE, 0.06),
    ):
        rows = bands[bands["moved"] == moved].sort_values("from_distance")
        shown = rows[["removal", "removal_low", "removal_high"]].set_axis(["estimate", "low", "high"], axis=1)
        x = rows["from_distance"].map(place) + shift
        ax.errorbar(x, shown["estimate"], error_bars(shown), fmt="o-", color=colour, markersize=5, label=label)
    for height, label, dashes in ((1.0, _AS_GOOD, DASHES[0]), (0.0, _NOTHING, DASHES[1])):
        ax.axhline(height, color=MUTED, linewidth=1.2, linestyle=dashes, label=label, zorder=1)
    pairs = bands[~bands["moved"]].set_index("from_distance")["pairs"]
    spans = [f"{_number(row.from_distance)}–{_number(row.to_distance)}" for row in edges.itertuples()]
    counts = [f"{span}\n{pairs.get(first, 0)}" for span, first in zip(spans, edges["from_distance"], strict=True)]
    tidy(ax, "squares between the two cheeses; pairs of mazes", "removal of P(cheese | decision square)")
    ax.set_ylim(*_REMOVALS)
    ax.set_xticks(range(len(counts)), counts)
    set_title(ax, title)
    add_legend_below(ax, columns=2, pad=5.4)
    return ax


def plot_translation(sweep: pd.DataFrame, ax: Axes | None = None, *, title: str = "The vector, moved") -> Axes:
    """Draws the removal by where a vector is moved to, as a grid of cells.

    Args:
        sweep: a table of `translation_sweep`: measure, right, up, removal.
        ax: where to draw; None makes a figure.
        title: the title.

    Returns:
        The axes: cells to the right across, cells up upwards; each cell bears its number.

    Raises:
        ValueError: if a column or P(cheese | decision square) is missing.
    """
    need_columns(sweep, ("measure", "right", "up", "removal"), "translation_sweep")
    rows = of_measure(sweep, "p_cheese_move").dropna(subset=["right", "up"])
    grid = rows.pivot(index="up", columns="right", values="removal").sort_index().sort_index(axis=1)
    ax = new_axes(ax, 5.6, 5.2)
    reach = int(grid.columns.max()) + 0.5
    image = ax.imshow(
        grid.to_numpy(np.float64),
        origin="lower",
        extent=(-reach, reach, -reach, reach),
        cmap=HEAT,
        norm=Normalize(0, 1),
    )
    for (up, right), value in grid.stack().items():
        ax.annotate(
            f"{round(value, 2) + 0.0:.2f}".replace("-", "−"),  # no −0.00
            (right, up),
            ha="center",
            va="center",
            fontsize=TEXT_SIZE - 1,
            color=INK,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8)
    bar.outline.set_visible(False)
    bar.set_label("removal of P(cheese | decision square)", fontsize=TEXT_SIZE, color=INK)
    bar.ax.tick_params(labelsize=TEXT_SIZE, labelcolor=INK, color=MUTED, length=2)
    ax.tick_params(labelsize=TEXT_SIZE, labelcolor=INK, color=MUTED, length=0)
    ax.set_xticks(sorted(grid.columns.astype(int)))
    ax.set_yticks(sorted(grid.index.astype(int)))
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_xlabel("cells to the right", fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel("cells up", fontsize=TEXT_SIZE, color=INK)
    set_title(ax, title)
    return ax


def plot_averages(sweep: pd.DataFrame, ax: Axes | None = None, *, title: str = "One vector for all mazes") -> Axes:
    """Draws the removal by how many other mazes a vector is the mean of.

    Args:
        sweep: a table of `average_sweep`: measure, cheese_region, mazes, removal, removal_low, removal_high.
        ax: where to draw; None makes a figure.
        title: the title.

    Returns:
        The axes: numbers of mazes across, on a logarithmic scale; the removal up; a line for each cheese region.

    Raises:
        ValueError: if a column or P(cheese | decision square) is missing.
    """
    columns = ("measure", "cheese_region", "mazes", "removal", "removal_low", "removal_high")
    need_columns(sweep, columns, "average_sweep")
    rows = of_measure(sweep, "p_cheese_move").dropna(subset=["mazes"])
    ax = new_axes(ax, 6.4, 3.8)
    for (region, part), colour in zip(rows.groupby("cheese_region", dropna=False), CYCLE, strict=False):
        where = "anywhere" if pd.isna(region) else f"in the top-right {int(region)} × {int(region)} cells"
        shown = part.sort_values("mazes")
        bars = shown[["removal", "removal_low", "removal_high"]].set_axis(["estimate", "low", "high"], axis=1)
        ax.errorbar(
            shown["mazes"],
            bars["estimate"],
            error_bars(bars),
            fmt="o-",
            color=colour,
            markersize=5,
            label=f"their cheese {where}",
        )
    for height, label, dashes in ((1.0, _AS_GOOD, DASHES[0]), (0.0, _NOTHING, DASHES[1])):
        ax.axhline(height, color=MUTED, linewidth=1.2, linestyle=dashes, label=label, zorder=1)
    ax.set_xscale("log", base=2)
    sizes = sorted(rows["mazes"].astype(int).unique())
    tidy(ax, "mazes that the vector is the mean of", "removal of P(cheese | decision square)")
    ax.set_ylim(*_REMOVALS)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    set_title(ax, title)
    add_legend_below(ax, columns=2)
    return ax


def plot_composition(terms: pd.DataFrame, ax: Axes | None = None, *, title: str = "Do the effects add up?") -> Axes:
    """Draws the effects of two edits, of both together, and their interaction, with their intervals.

    Args:
        terms: a table of `composition`: measure, term, estimate, low, high.
        ax: where to draw; None makes a figure.
        title: the title.

    Returns:
        The axes: terms down, changes of probability across; "sum" marks what adding up would give.

    Raises:
        ValueError: if a column is missing.
    """
    need_columns(terms, ("measure", "term", "estimate", "low", "high"), "composition")
    names = ["first", "second", "both", "interaction"]
    measures = list(dict.fromkeys(terms["measure"]))
    ax = new_axes(ax, 6.8, 1.3 + 0.6 * len(names))
    for i, (measure, colour) in enumerate(zip(measures, (VERMILION, BLUE), strict=False)):
        rows = of_measure(terms, measure).set_index("term").reindex(names)
        y = np.arange(len(names)) + (i - (len(measures) - 1) / 2) * 0.28
        ax.errorbar(
            rows["estimate"],
            y,
            xerr=error_bars(rows),
            fmt="o",
            color=colour,
            markersize=5.5,
            capsize=2,
            label=f"change in {measure_label(measure)}",
        )
        total = rows.loc["first", "estimate"] + rows.loc["second", "estimate"]
        ax.plot(total, y[names.index("both")], "|", color=INK, markersize=13, label=None if i else "sum of the two")
    ax.axvline(0, color=MUTED, linewidth=1)
    tidy(ax, "change of probability at the decision square", grid="x")
    edits = dict(zip(terms["term"], terms["edit"], strict=True))
    labels = [f"{name}\n{edits[name]}" if name in ("first", "second") else name for name in names]
    ax.set_yticks(range(len(names)), labels)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    set_title(ax, title)
    add_legend_below(ax, columns=3)
    return ax


def _number(value: float) -> str:
    return f"{value:.3g}"
