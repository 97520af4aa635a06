"""Retargeting in pictures: how readily the mouse goes to each square when told to, and what makes that hard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from ..analysis.retargeting import CHEESE_MOVED, NO_EDIT
from ..maze.levels import Level
from .maze import draw_icon, draw_tint, draw_walls, level_name
from .style import (
    CYCLE,
    DASHES,
    HEAT,
    MUTED,
    add_legend_below,
    colour_bar,
    need_columns,
    new_axes,
    new_row,
    set_title,
    tidy,
)

_COLUMNS = {
    "off_path": "steps from the target to the start–corner path",
    "steps": "steps from the start to the target",
    "maze_dim": "side of the maze",
}


def plot_retargeting_maps(
    results: pd.DataFrame,
    level: Level,
    axes: Sequence[Axes] | None = None,
    *,
    conditions: Sequence[str] | None = None,
    policy: str = "",
) -> tuple[Axes, ...]:
    """Draws, for each condition, every square's colour by the path probability when that square is the target.

    Under "no edit" that is one vector field's path probabilities; under all others each square is a measurement of its
    own, with the clamp, or the cheese, on that square.

    Args:
        results: rows of `retarget(policy, level, clamps, targets=None)`, of one level.
        level: that level.
        axes: where to draw, one for each condition; None makes a figure.
        conditions: which, in their order; None: all.
        policy: the policy's name, for the line below the titles.

    Returns:
        The axes, in world coordinates.

    Raises:
        ValueError: a column or a condition is missing, the rows are of several levels or not of this one, or there are
            too few or too many axes.
    """
    need_columns(results, ("condition", "level", "x", "y", "probability"), "retarget")
    known = list(dict.fromkeys(results["condition"]))
    names = known if conditions is None else list(conditions)
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"no row has the condition {missing[0]!r}; the conditions are {', '.join(known)}")
    if results["level"].nunique() != 1 or (level.grid[results["y"], results["x"]] == 1).any():
        raise ValueError(f"the rows are not those of {level_name(level)} alone; retarget that level, targets=None")
    row = new_row(axes, len(names), 2.9, 3.9)
    about = ", ".join(filter(None, (level_name(level), policy)))
    for ax, name in zip(row, names, strict=True):
        part = results[results["condition"] == name]
        grid = np.full(level.grid.shape, np.nan)
        grid[part["y"], part["x"]] = part["probability"]
        draw_walls(ax, level)
        heat = draw_tint(ax, grid, Normalize(0, 1), HEAT)
        draw_icon(ax, "mouse", level.mouse)
        set_title(ax, name, f"{about}; mean {part['probability'].mean():.2f}")
        colour_bar(ax, heat, "path probability to the square")
    return row


def plot_retargeting_by(
    table: pd.DataFrame,
    column: str,
    ax: Axes | None = None,
    *,
    title: str = "Retargeting by distance",
    subtitle: str = "",
) -> Axes:
    """Draws mean path probabilities by what may make a target hard: a line for each condition, its interval as a band.

    Args:
        table: a table of `retargeting_by`.
        column: the column that it was made by.
        ax: where to draw; None makes a figure.
        title: the title.
        subtitle: what it is about: the policy, the layer, the channels.

    Returns:
        The axes: the column across, the path probability up.

    Raises:
        ValueError: a column is missing.
    """
    need_columns(table, ("condition", "middle", "estimate", "low", "high"), "retargeting_by")
    ax = new_axes(ax, 6.4, 4.0)
    _draw_conditions(ax, table, "middle")
    tidy(ax, _COLUMNS.get(column, column), "path probability")
    ax.set_ylim(0, 1)
    set_title(ax, title, subtitle)
    add_legend_below(ax, columns=3)
    return ax


def plot_value_sweep(
    sweep: pd.DataFrame, ax: Axes | None = None, *, title: str = "Retargeting by value", subtitle: str = ""
) -> Axes:
    """Draws mean path probabilities by the value that channels are clamped at, between no edit and the cheese moved.

    Args:
        sweep: a table of `value_sweep`.
        ax: where to draw; None makes a figure.
        title: the title.
        subtitle: what it is about: the policy, the layer, the channels.

    Returns:
        The axes: the value across, on a logarithmic scale, the path probability up.

    Raises:
        ValueError: a column is missing.
    """
    need_columns(sweep, ("condition", "value", "estimate", "low", "high"), "value_sweep")
    ax = new_axes(ax, 6.4, 4.0)
    fixed = sweep["value"].isna()
    _draw_conditions(ax, sweep[~fixed], "value")
    for (_, line), dashes in zip(sweep[fixed].iterrows(), DASHES, strict=False):
        ax.axhline(line["estimate"], color=MUTED, linewidth=1.2, linestyle=dashes, label=line["condition"], zorder=1)
    values = sorted(sweep["value"].dropna().unique())
    ax.set_xscale("log")
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.set_xticks([], minor=True)
    tidy(ax, "value that the channels are clamped at", "path probability")
    ax.set_ylim(0, 1)
    set_title(ax, title, subtitle)
    add_legend_below(ax, columns=3)
    return ax


def _draw_conditions(ax: Axes, table: pd.DataFrame, across: str) -> None:
    """A line for each condition; what bounds the others is grey and dashed."""
    bounds = {NO_EDIT: DASHES[0], CHEESE_MOVED: DASHES[1]}
    colours = iter(CYCLE)
    for name, part in table.groupby("condition", sort=False):
        part = part.sort_values(across)
        look = {"color": MUTED, "linestyle": bounds[name]} if name in bounds else {"color": next(colours)}
        ax.fill_between(part[across], part["low"], part["high"], color=look["color"], alpha=0.12, linewidth=0)
        ax.plot(part[across], part["estimate"], marker="o", markersize=3.5, label=name, **look)
