"""A maze on an Axes, in world coordinates: square (x, y) is centred at (x, y) and has sides of 1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ..maze.generation import WALL
from ..maze.levels import Level
from ..maze.paths import corner, decision_square
from ..maze.rendering import EDGE_COLOUR, OPEN_COLOUR, PATH_COLOUR, WALL_COLOUR, icons
from ..maze.worlds import Square
from .style import BLUE, GREEN, add_legend, new_axes, set_title

TRAIL_COLOUR, _EDGES_COLOUR = np.array(PATH_COLOUR) / 255, np.array(EDGE_COLOUR) / 255

_FLOOR, _TINT, _EDGES, _PATH, _ICON, _MARK = 0.1, 0.2, 0.3, 1.0, 1.1, 1.2  # what covers what


def plot_maze(
    level: Level,
    ax: Axes | None = None,
    *,
    path: Sequence[Square] = (),
    decision: bool = False,
    title: str | None = None,
) -> Axes:
    """Draws a level: walls, mouse and cheese, cut to the maze with one cell of wall around it.

    Args:
        level: the level.
        ax: where to draw; None makes a figure.
        path: squares to join by a line, in their order.
        decision: mark the decision square and the corner.
        title: the title; None names the level, "" leaves it out.

    Returns:
        The axes, in world coordinates.

    Raises:
        ValueError: if the decision square is to be marked and the level has none.
    """
    ax = new_axes(ax, 4.6, 5.0)
    draw_walls(ax, level)
    draw_path(ax, path)
    draw_inhabitants(ax, level)
    if decision:
        mark_decision(ax, level)
        add_maze_legend(ax)
    set_title(ax, level_name(level) if title is None else title)
    return ax


def level_name(level: Level) -> str:
    """What a title calls a level: its seed, its size, and whether it has been edited.

    >>> level_name(Level.from_seed(0).without_cheese())
    'level 0 (edited), 13 × 13'
    """
    name = "own maze" if level.seed is None else f"level {level.seed}"
    edited = " (edited)" if level.edited else ""
    mode = "" if level.mode == "hard" else f", {level.mode}"
    size = "" if level.maze_dim is None else f", {level.maze_dim} × {level.maze_dim}"
    return f"{name}{edited}{size}{mode}"


def draw_walls(ax: Axes, level: Level) -> None:
    """Walls and floor; sets the limits of the axes to the open squares and one cell around them."""
    x0, x1, y0, y1 = _window(level)
    wall = np.pad(level.grid == WALL, 1, constant_values=True)[y0 + 1 : y1 + 2, x0 + 1 : x1 + 2]
    extent = (x0 - 0.5, x1 + 0.5, y0 - 0.5, y1 + 0.5)
    ax.set(xlim=extent[:2], ylim=extent[2:], aspect="equal")
    ax.set_axis_off()
    image = np.where(wall[..., None], np.array(WALL_COLOUR, np.uint8), np.array(OPEN_COLOUR, np.uint8))
    ax.imshow(image, origin="lower", extent=extent, interpolation="nearest", zorder=_FLOOR)
    edges = LineCollection(
        list(_boundaries(wall, x0, y0)), colors=[_EDGES_COLOUR], capstyle="projecting", zorder=_EDGES
    )
    edges.set_linewidth(0.9)
    ax.add_collection(edges, autolim=False)


def draw_tint(ax: Axes, values: NDArray[np.floating], norm: Normalize, colours: Colormap) -> ScalarMappable:
    """Colours squares by a number.

    Args:
        ax: axes with a maze.
        values: float [world, world], indexed [y, x]; NaN where there is no colour.
        norm: from numbers to [0, 1].
        colours: from there to colours.
    """
    world = len(values)
    extent = (-0.5, world - 0.5, -0.5, world - 0.5)
    shown = np.ma.masked_invalid(values)
    return ax.imshow(
        shown, origin="lower", extent=extent, interpolation="nearest", cmap=colours, norm=norm, zorder=_TINT
    )


def draw_path(ax: Axes, path: Sequence[Square]) -> None:
    """A line through the centres of squares."""
    if path:
        x, y = np.array(path, float).T
        ax.plot(x, y, color=TRAIL_COLOUR, linewidth=2.2, solid_capstyle="round", zorder=_PATH)


def draw_inhabitants(ax: Axes, level: Level) -> None:
    """Every cheese, and the mouse."""
    for square in level.cheeses:
        draw_icon(ax, "cheese", square)
    draw_icon(ax, "mouse", level.mouse)


def draw_icon(ax: Axes, name: str, square: Square) -> AxesImage:
    """The picture of the "mouse" or the "cheese" in a square."""
    return ax.imshow(_icon(name), extent=icon_extent(square), interpolation="antialiased", zorder=_ICON)


def icon_extent(square: Square) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of an icon in a square."""
    x, y = square
    return x - 0.46, x + 0.46, y - 0.46, y + 0.46


def mark_decision(ax: Axes, level: Level) -> None:
    """Frames the decision square and the corner; `add_maze_legend` says which is which.

    Raises:
        ValueError: if the level has no decision square.
    """
    decision = decision_square(level)
    if decision is None:
        raise ValueError(
            f"{level_name(level)} has no decision square to mark: it takes exactly one cheese, and neither cheese nor "
            "corner on the way to the other"
        )
    x, y = decision.square
    ring = Circle((x, y), 0.41, facecolor="none", edgecolor=GREEN, linewidth=2.2, zorder=_MARK, label="decision square")
    x, y = corner(level)[0].tolist()
    frame = FancyBboxPatch(
        (x - 0.38, y - 0.38),
        0.76,
        0.76,
        boxstyle="round,pad=0,rounding_size=0.12",
        facecolor="none",
        edgecolor=BLUE,
        linewidth=2.2,
        zorder=_MARK,
        label="corner",
    )
    for mark in (ring, frame):
        mark.set_path_effects([withStroke(linewidth=3.6, foreground="white")])  # readable on any tint
        ax.add_patch(mark)


def add_maze_legend(ax: Axes, pad: float = 0.3) -> None:
    """Says below the maze what is marked in it; how far below, in heights of the text."""
    marks = [patch for patch in ax.patches if isinstance(patch, Circle | FancyBboxPatch)]
    keys = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o" if isinstance(mark, Circle) else "s",
            markersize=8,
            markerfacecolor="none",
            markeredgewidth=2,
            markeredgecolor=mark.get_edgecolor(),
            label=mark.get_label(),
        )
        for mark in marks
    ]
    add_legend(
        ax, columns=2, handles=keys, loc="upper left", bbox_to_anchor=(0, 0), borderaxespad=pad, handletextpad=0.2
    )


def cell_points(ax: Axes) -> float:
    """Side of a square in points, about: the layout of the figure may still change."""
    width, (left, right) = ax.figure.get_size_inches()[0], ax.get_xlim()  # type: ignore[union-attr]
    return float(ax.get_position().width * width * 72 / (right - left))


def _window(level: Level) -> tuple[int, int, int, int]:
    """First and last x and y of what is shown."""
    y, x = np.nonzero(level.grid != WALL)
    return int(x.min()) - 1, int(x.max()) + 1, int(y.min()) - 1, int(y.max()) + 1


def _boundaries(wall: NDArray[np.bool_], x0: int, y0: int) -> NDArray[np.float64]:
    """The sides between walls and floor: float64 [k, 2, 2], from (x, y) to (x, y)."""
    row, column = np.nonzero(wall[1:] != wall[:-1])
    across = np.stack([[x0 + column - 0.5, x0 + column + 0.5], [y0 + row + 0.5] * 2], axis=2)
    row, column = np.nonzero(wall[:, 1:] != wall[:, :-1])
    along = np.stack([[x0 + column + 0.5] * 2, [y0 + row - 0.5, y0 + row + 0.5]], axis=2)
    return np.concatenate([across, along], axis=1).swapaxes(0, 1)


@cache
def _icon(name: str) -> NDArray[np.float64]:
    """An icon as matplotlib wants it, float64 [120, 120, 4]: not multiplied by its alpha."""
    icon = icons()[name] / 255
    icon[..., :3] = np.divide(icon[..., :3], icon[..., 3:], out=icon[..., :3], where=icon[..., 3:] > 0)
    return icon.clip(0, 1)
