"""Where a policy's moves lead: how readily it takes the shortest path to each square (arXiv 2310.08043)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from ..analysis.fields import VectorField, path_probabilities
from ..maze.generation import WALL
from .fields import field_name
from .maze import add_maze_legend, draw_inhabitants, draw_tint, draw_walls, mark_decision
from .style import FAINT, HEAT, colour_bar, new_axes, set_title


def plot_path_probabilities(
    field: VectorField,
    ax: Axes | None = None,
    *,
    policy: str = "",
    title: str | None = None,
    decision: bool = False,
) -> Axes:
    """Draws the path probabilities of a field as colours: the darker a square, the readier the policy goes there.

    Squares without a number are hatched: those that cannot be reached, or across a cheese only.

    Args:
        field: the field.
        ax: where to draw; None makes a figure.
        policy: the policy's name with its edits, for the line below the title: `policy.name`.
        title: the title; None names the level.
        decision: mark the decision square and the corner.

    Returns:
        The axes, in world coordinates.

    Raises:
        ValueError: if the decision square is to be marked and the level has none.
    """
    ax = new_axes(ax, 4.6, 5.6)
    draw_walls(ax, field.level)
    probabilities = path_probabilities(field)
    heat = draw_tint(ax, probabilities, Normalize(0, 1), HEAT)
    unknown = np.isnan(probabilities) & (field.level.grid != WALL)
    unknown[field.level.mouse[::-1]] = False
    squares = [Rectangle((x - 0.5, y - 0.5), 1, 1) for y, x in np.argwhere(unknown).tolist()]
    ax.add_collection(PatchCollection(squares, facecolor="none", edgecolor=FAINT, hatch="////", linewidth=0))
    draw_inhabitants(ax, field.level)
    if decision:
        mark_decision(ax, field.level)
        add_maze_legend(ax, pad=6.5)
    set_title(ax, field_name(field) if title is None else title, policy)
    colour_bar(ax, heat, "path probability (geometric mean per move)")
    return ax
