"""What all pictures share: colours that colour-blind people tell apart, titles, and quiet axes.

Everything is set on the artists themselves, so that nobody's own matplotlib settings change.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
"""The palette of Okabe and Ito (2008)."""

INK, MUTED, FAINT = "#23272f", "#69707d", "#d9dbe0"
"""What is said, what is said aside, and what only guides the eye."""

CYCLE = (BLUE, VERMILION, GREEN, PURPLE, SKY, ORANGE, INK)
"""Colours of policies, conditions or runs, in their order."""

HEAT = LinearSegmentedColormap.from_list("mazeinterp_heat", ["#faf7f0", "#f6cf8f", "#e8804f", "#b5305c", "#5a1452"])
"""From the maze's floor to dark purple, darker all the way: 0 is a bare floor, and walls stay apart by hue."""

MEASURES = {
    "p_cheese_move": "P(cheese | decision square)",
    "p_corner_move": "P(corner | decision square)",
    "p_cheese": "P(cheese)",
    "p_corner_first": "P(corner first)",
    "expected_steps": "expected steps",
    "success": "success",
    "corner_first": "corner first",
}
"""Measures of the tables as people read them."""

MEASURE_COLOURS = {
    "p_cheese_move": ORANGE,
    "p_cheese": ORANGE,
    "p_corner_move": BLUE,
    "p_corner_first": BLUE,
    "corner_first": BLUE,
}
"""The cheese is orange and the corner blue; what is about neither is not here."""

DASHES = ((0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
"""Of grey lines to compare with."""

TITLE_SIZE, TEXT_SIZE = 11, 9
"""In points."""


def need_columns(frame: pd.DataFrame, columns: Sequence[str], source: str) -> None:
    """Checks that a table has what a picture shows.

    Args:
        frame: the table.
        columns: the columns that it must have.
        source: what makes such tables, for the message.

    Raises:
        ValueError: if one is missing.
    """
    missing = [name for name in columns if name not in frame]
    if missing:
        raise ValueError(
            f"the table lacks {', '.join(missing)}; it has {', '.join(frame)}. {source} makes such a table"
        )


def of_measure(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The rows of a table that are about one measure.

    Raises:
        ValueError: if there are none.
    """
    rows = frame[frame["measure"] == measure]
    if rows.empty:
        known = ", ".join(dict.fromkeys(frame["measure"]))
        raise ValueError(f"no row has the measure {measure!r}; the measures are {known}")
    return rows


def measure_label(measure: str) -> str:
    """A measure as people read it; one that has no such name keeps its own."""
    return MEASURES.get(measure, measure)


def layer_label(layer: str) -> str:
    """A layer's name as short as it can be told."""
    return layer.removeprefix("embedder.").removesuffix("_out")


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or those of a new figure of pyplot's, in inches."""
    return ax if ax is not None else plt.subplots(figsize=(width, height), layout="constrained")[1]


def new_row(axes: Sequence[Axes] | None, n: int, width: float, height: float) -> tuple[Axes, ...]:
    """The given n axes, or those of a new figure side by side, each of that width and height in inches.

    Raises:
        ValueError: if another number is given.
    """
    if axes is None:
        figure, made = plt.subplots(1, n, figsize=(n * width, height), layout="constrained", squeeze=False)
        figure.get_layout_engine().set(wspace=0.04)  # type: ignore[union-attr,call-arg]  # constrained, as asked
        return tuple(made[0])
    if len(axes) != n:
        raise ValueError(f"{len(axes)} axes are given for {n} panels")
    return tuple(axes)


def set_title(ax: Axes, title: str, subtitle: str = "") -> None:
    """A title in bold, and below it what it is about, wrapped to the width of the axes."""
    figure = ax.figure
    room = ax.get_position().width * figure.get_size_inches()[0] * 72  # type: ignore[union-attr]
    lines = textwrap.wrap(subtitle, max(24, int(room / (0.53 * TEXT_SIZE))), break_on_hyphens=False)
    pad = 5 + 1.35 * TEXT_SIZE * len(lines)
    ax.set_title(title[:1].upper() + title[1:], loc="left", fontsize=TITLE_SIZE, fontweight="bold", color=INK, pad=pad)
    if lines:
        ax.annotate(
            "\n".join(lines),
            (0, 1),
            xytext=(0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            fontsize=TEXT_SIZE,
            color=MUTED,
            annotation_clip=False,
        )


def colour_bar(ax: Axes, colours: ScalarMappable, label: str) -> None:
    """A scale of colours below a maze, as wide as that; it takes no room from the maze."""
    inset = ax.inset_axes((0, -0.06, 1, 0.025))
    bar = ax.figure.colorbar(colours, cax=inset, orientation="horizontal")
    bar.outline.set_visible(False)
    inset.tick_params(labelsize=TEXT_SIZE, labelcolor=INK, color=MUTED, length=2)
    inset.set_xlabel(label, fontsize=TEXT_SIZE, color=INK)


def tidy(ax: Axes, x_label: str = "", y_label: str = "", grid: Literal["x", "y"] = "y") -> None:
    """Axes of a chart: no box, faint lines to read values by, labels.

    Args:
        ax: the axes.
        x_label: what goes across.
        y_label: what goes up.
        grid: the axis whose values have lines to read them by.
    """
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
        ax.spines[side].set_linewidth(0.8)
    ax.tick_params(labelsize=TEXT_SIZE, labelcolor=INK, color=MUTED, width=0.8, length=3)
    ax.grid(visible=False)
    ax.grid(visible=True, axis=grid, color=FAINT, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel(x_label, fontsize=TEXT_SIZE, color=INK)
    ax.set_ylabel(y_label, fontsize=TEXT_SIZE, color=INK)


def add_legend(ax: Axes, columns: int = 1, **placement: Any) -> None:
    """A legend without a frame, of the artists that have labels."""
    ax.legend(frameon=False, fontsize=TEXT_SIZE, labelcolor=INK, ncols=columns, **placement)


def add_legend_below(ax: Axes, columns: int, pad: float = 4.2) -> None:
    """A legend below a chart, whatever the chart's height; `pad` lines of text leave room for ticks and label."""
    add_legend(ax, columns, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=pad)


def error_bars(rows: pd.DataFrame) -> NDArray[np.float64]:
    """How far an interval reaches below and above its estimate, float64 [2, n], of the columns estimate, low, high."""
    return np.abs(rows[["low", "high"]].sub(rows["estimate"], axis=0).to_numpy(np.float64).T)
