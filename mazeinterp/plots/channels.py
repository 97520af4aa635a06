"""Channels beside the maze: what one does as things move, the top of a ranking, and scores against the null."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ..analysis.readout import channel_maps
from ..edits.recording import DEFAULT_LAYER, TappedPolicy
from ..maze.levels import Level, Levels, LevelsLike
from ..policy.network import LAYERS
from .maze import draw_inhabitants, draw_walls, level_name
from .style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    TEXT_SIZE,
    VERMILION,
    add_legend,
    colour_bar,
    layer_label,
    need_columns,
    new_axes,
    new_row,
    set_title,
    tidy,
)

DIVERGING = LinearSegmentedColormap.from_list(
    "mazeinterp_diverging", ["#08306b", "#4b8fc9", "#faf7f0", "#e8804f", "#7a1c00"]
)
"""Blue below 0, the maze's floor at 0, vermilion above."""

_MAP = 0.25  # over the floor, below the edges of walls
_OPACITY = 0.82


def plot_activations(
    policy: TappedPolicy,
    levels: LevelsLike,
    layer: str = DEFAULT_LAYER,
    channel: int = 0,
    axes: Sequence[Axes] | None = None,
) -> tuple[Axes, ...]:
    """Draws a channel's activation over the maze, for one level or several side by side, all in one scale.

    To see what it does as the cheese moves, give one maze with the cheese on several squares:
    `[level.with_cheese(square) for square in squares]`; likewise with the mouse (`with_mouse`).

    Args:
        policy: the policy, edited or not.
        levels: Levels, a Level or a sequence of Level: a panel each.
        layer: a layer with cells.
        channel: the channel.
        axes: where to draw, one for each level; None makes a figure.

    Returns:
        The axes, in world coordinates. A cell of the map is drawn where it looks (`mazeinterp.edits.cell_of`).

    Raises:
        ValueError: if the policy has no such layer, or it has no cells or no such channel; or the axes are of another
            number than the levels.
    """
    batch = Levels.stack(levels)
    maps = channel_maps(policy, batch, layer, [channel])[:, 0]
    panels = new_row(axes, len(batch), 3.6, 4.4)
    reach = float(np.abs(maps).max()) or 1.0
    for ax, level, values in zip(panels, batch, maps, strict=True):
        colours = _draw_map(ax, level, values, Normalize(-reach, reach))
        cheeses = " ".join(map(str, level.cheeses)) or "none"
        set_title(ax, level_name(level), f"cheese {cheeses}, mouse {level.mouse}; {policy.name or 'unnamed network'}")
        colour_bar(ax, colours, f"activation of channel {channel} of {layer_label(layer)}")
    return panels


def plot_channel_grid(
    policy: TappedPolicy,
    level: Level,
    ranking: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    top: int = 12,
) -> tuple[Axes, ...]:
    """Draws the best channels of a ranking over one maze, best first, each in its own scale around 0.

    Args:
        policy: the policy that they were ranked for.
        level: the level.
        ranking: columns layer, channel, score, found: `CheeseChannels.to_frame()`, or rows of several layers.
        axes: where to draw, one for each channel; None makes a figure.
        top: how many to draw.

    Returns:
        The axes, in world coordinates.

    Raises:
        ValueError: if the ranking lacks a column or has no rows, `top` is below 1, or the axes are of another number.
    """
    need_columns(ranking, ("layer", "channel", "score", "found"), "CheeseChannels.to_frame()")
    if top < 1 or ranking.empty:
        raise ValueError(f"top is {top} of a ranking of {len(ranking)} channels; there must be one to draw")
    best = ranking.sort_values("score", ascending=False, kind="stable").head(top)
    if axes is None:
        columns = min(4, len(best))
        rows = -(-len(best) // columns)
        figure, made = plt.subplots(
            rows, columns, figsize=(2.5 * columns, 2.75 * rows + 0.6), layout="constrained", squeeze=False
        )
        for spare in made.flat[len(best) :]:
            spare.set_axis_off()
        panels: Sequence[Axes] = list(made.flat[: len(best)])
        of = f" of {layer_label(str(best['layer'].iloc[0]))}" if best["layer"].nunique() == 1 else ""
        figure.suptitle(
            f"{policy.name or 'unnamed network'}, {level_name(level)}: channels{of} by score\n",
            x=0.01,
            ha="left",
            fontsize=TEXT_SIZE + 2,
            fontweight="bold",
            color=INK,
        )
    else:
        panels = new_row(axes, len(best), 1, 1)
    for ax, row in zip(panels, best.itertuples(), strict=True):
        values = channel_maps(policy, Levels.stack(level), str(row.layer), [int(row.channel)])[0, 0]
        reach = float(np.abs(values).max()) or 1.0
        _draw_map(ax, level, values, Normalize(-reach, reach))
        which = (
            f"channel {row.channel}"
            if best["layer"].nunique() == 1
            else f"{layer_label(str(row.layer))}: {row.channel}"
        )
        set_title(ax, f"{which}: {row.score:.2f}", f"{'found' if row.found else 'not found'}; scale ±{reach:.2g}")
    return tuple(panels)


def plot_channel_scores(
    scores: pd.DataFrame, ax: Axes | None = None, *, title: str = "Channels that track the cheese", policy: str = ""
) -> Axes:
    """Draws every channel's score, layer by layer, against what untrained networks reach.

    Args:
        scores: columns layer, channel, score, threshold, found: `CheeseChannels.to_frame()`, or the rows of
            `channel_table` that are about tracks, of which chosen_score is the score.
        ax: where to draw; None makes a figure.
        title: the title.
        policy: the policy's name, for the line below it.

    Returns:
        The axes: layers down, those of the maze network in forward order, others in the table's; scores across. The
        channels found bear their numbers, the best first where there is no room for all.

    Raises:
        ValueError: if a column is missing or there are no rows.
    """
    if "chosen_score" in scores and "measure" in scores:
        scores = scores[scores["measure"] == "tracks"].rename(columns={"chosen_score": "score"})
    need_columns(scores, ("layer", "channel", "score", "threshold", "found"), "CheeseChannels.to_frame()")
    if scores.empty:
        raise ValueError("there are no scores to draw")
    given = list(dict.fromkeys(scores["layer"]))
    layers = [layer for layer in LAYERS if layer in given] + [layer for layer in given if layer not in LAYERS]
    ax = new_axes(ax, 7.4, 2.1 + 0.27 * len(layers))
    for i, layer in enumerate(layers):
        rows = scores[scores["layer"] == layer]
        threshold = float(rows["threshold"].iloc[0])
        ax.plot([threshold] * 2, [i - 0.42, i + 0.42], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=2)
        for found, colour, size in ((False, MUTED, 12), (True, VERMILION, 26)):
            part = rows[rows["found"] == found]
            opacity = 0.9 if found else 0.5
            ax.scatter(part["score"], [i] * len(part), s=size, color=colour, alpha=opacity, linewidths=0, zorder=3)
        _number(ax, rows[rows["found"]], i)
    tidy(ax, "share of levels in which the peak tracks the cheese", grid="x")
    ax.set_yticks(range(len(layers)), [layer_label(layer) for layer in layers])
    ax.tick_params(axis="y", labelsize=TEXT_SIZE - 1, length=0)
    ax.set(ylim=(len(layers) - 0.4, -0.6), xlim=(-0.02, 1.04))
    for i in range(len(layers) - 1):
        ax.axhline(i + 0.5, color=FAINT, linewidth=0.5, zorder=1)
    handles = [
        Line2D([], [], linestyle="none", marker=marker, markersize=size, color=colour, markeredgewidth=1.4, label=label)
        for marker, size, colour, label in (
            ("o", 4.5, VERMILION, "cheese channel, its number"),
            ("o", 3, MUTED, "other channel"),
            ("|", 11, INK, "threshold: untrained networks"),
        )
    ]
    set_title(ax, title, policy)
    add_legend(ax, columns=3, handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.2)
    return ax


def _number(ax: Axes, found: pd.DataFrame, y: int) -> None:
    """Numbers above the dots, best first, where there is room for them."""
    free = np.inf
    for row in found.sort_values("score", ascending=False).itertuples():
        score, text = float(row.score), str(row.channel)
        half = 0.006 * len(text) + 0.003
        if score + half < free:
            free = score - half
            ax.annotate(
                text, (score, y), xytext=(0, 3.4), textcoords="offset points", ha="center", fontsize=6.5, color=BLUE
            )


def _draw_map(ax: Axes, level: Level, values: NDArray[np.float32], norm: Normalize) -> ScalarMappable:
    """A layer's map over a maze: float32 [size, size], row 0 at the top of the world."""
    draw_walls(ax, level)
    size, cell = len(values), level.world / len(values)
    # Cell j looks at pixel 64 / size · j, whose middle lies half a pixel further on.
    first = (0.5 / 64) * level.world - 0.5 - cell / 2
    top = level.world - 1 - first
    extent = (first, first + size * cell, top - size * cell, top)
    image = ax.imshow(
        values,
        origin="upper",
        extent=extent,
        interpolation="nearest",
        cmap=DIVERGING,
        norm=norm,
        alpha=_OPACITY,
        zorder=_MAP,
    )
    draw_inhabitants(ax, level)
    return image
