"""How well policies solve mazes, and what they go for where cheese and corner part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from .style import (
    CYCLE,
    DASHES,
    INK,
    MEASURE_COLOURS,
    MUTED,
    TEXT_SIZE,
    add_legend,
    add_legend_below,
    error_bars,
    measure_label,
    need_columns,
    new_axes,
    of_measure,
    set_title,
    tidy,
)


def plot_success(
    summary: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measure: str = "success",
    baselines: Sequence[str] = (),
    title: str = "",
) -> Axes:
    """Draws a measure for each size of maze, with its interval: sampled with full lines, greedy with broken ones.

    Args:
        summary: a table of `summarise(results, by=["policy"])`: policy, choice, from_dim, to_dim, measure, estimate,
            low and high. Rows about several sizes together are left to tables.
        ax: where to draw; None makes a figure.
        measure: the measure to draw.
        baselines: policies to draw in grey, as sampled, such as a random walk and the shortest path.
        title: the title; "" names the measure.

    Returns:
        The axes: side of the maze across, the measure up.

    Raises:
        ValueError: if a column or a baseline is missing, or no row is about that measure and a single size.
    """
    need_columns(summary, ("policy", "choice", "from_dim", "to_dim", "measure", "estimate", "low", "high"), "summarise")
    rows = of_measure(summary[summary["from_dim"] == summary["to_dim"]], measure)
    policies = list(dict.fromkeys(rows["policy"]))
    unknown = [name for name in baselines if name not in policies]
    if unknown:
        raise ValueError(f"no baseline {unknown[0]!r} in the table; its policies are {', '.join(map(repr, policies))}")
    ax = new_axes(ax, 7.0, 3.6)
    trained = [name for name in policies if name not in baselines]
    for name, colour in zip(trained, CYCLE * len(trained), strict=False):
        for choice, part in rows[rows["policy"] == name].groupby("choice", sort=False):
            look = {"marker": "o"} if choice == "sampled" else {"marker": "s", "linestyle": DASHES[0], "mfc": "white"}
            part = part.sort_values("from_dim")
            ax.errorbar(
                part["from_dim"] + (0.0 if choice == "sampled" else 0.25),  # beside each other where they agree
                part["estimate"],
                error_bars(part),
                label=f"{name}, {choice}",
                color=colour,
                markersize=4.5,
                linewidth=1.5,
                elinewidth=1,
                **look,
            )
    for name, dashes in zip(baselines, DASHES * len(baselines), strict=False):
        part = rows[(rows["policy"] == name) & (rows["choice"] == "sampled")].sort_values("from_dim")
        ax.fill_between(part["from_dim"], part["low"], part["high"], color=MUTED, alpha=0.14, linewidth=0)
        ax.plot(part["from_dim"], part["estimate"], label=name, color=MUTED, linewidth=1.2, linestyle=dashes)
    tidy(ax, "side of the maze, in cells", measure_label(measure))
    ax.set_xticks(sorted(rows["from_dim"].unique()))
    if rows[["low", "high"]].stack().between(0, 1).all():
        ax.set_ylim(-0.02, 1.03)
    set_title(ax, title or f"{measure_label(measure)} by size of maze")
    add_legend(ax, loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def plot_comparison(
    comparison: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measures: Sequence[str] = ("p_cheese_move", "p_corner_move"),
    by: str = "policy",
    title: str = "What the mouse goes for where cheese and corner part",
) -> Axes:
    """Draws bars of means with their intervals: a group for each policy or condition, a bar for each measure.

    Args:
        comparison: a table of `goal_misgeneralisation` or `compare_policies`, or one set of `compare_conditions`:
            the column `by`, measure, estimate, low, high and n.
        ax: where to draw; None makes a figure.
        measures: the probabilities to draw.
        by: the column that tells groups apart: "policy", or "condition".
        title: the title.

    Returns:
        The axes: groups down, in the table's order; probabilities across.

    Raises:
        ValueError: if a column or a measure is missing, or a group has several rows of one measure.
    """
    need_columns(comparison, (by, "measure", "estimate", "low", "high", "n"), "goal_misgeneralisation")
    parts = [of_measure(comparison, measure) for measure in measures]
    if any(part[by].duplicated().any() for part in parts):
        raise ValueError(f"a {by} has several rows of one measure; of compare_conditions, give the rows of one set")
    names = list(dict.fromkeys(comparison[by]))
    ax = new_axes(ax, 7.2, 1.4 + 0.46 * len(names))
    height = 0.78 / len(measures)
    spare = [colour for colour in CYCLE if colour not in MEASURE_COLOURS.values()] * len(measures)
    for i, (measure, part) in enumerate(zip(measures, parts, strict=True)):
        rows = part.set_index(by).reindex(names)
        y = np.arange(len(names)) + (i - (len(measures) - 1) / 2) * height
        colour = MEASURE_COLOURS.get(measure, spare[i])
        ax.barh(y, rows["estimate"], height * 0.9, color=colour, label=measure_label(measure))
        ax.errorbar(rows["estimate"], y, xerr=error_bars(rows), fmt="none", ecolor=INK, elinewidth=1.1, capsize=2)
        for place, estimate, high in zip(y, rows["estimate"], rows["high"], strict=True):
            ax.annotate(
                f"{estimate:.2f}",
                (np.fmax(estimate, high), place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=TEXT_SIZE - 1,
                color=INK,
            )
    tidy(ax, "probability", grid="x")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=(0, 1.08), ylim=(len(names) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    fewest, most = (f(part["n"].agg(name) for part in parts) for f, name in ((min, "min"), (max, "max")))
    levels = f"{most} levels" if fewest == most else f"{fewest} to {most} levels"
    set_title(ax, title, f"means over {levels}, with 95% intervals")
    add_legend_below(ax, columns=len(measures))
    return ax
