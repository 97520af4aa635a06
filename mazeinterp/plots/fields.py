"""Vector fields over their mazes: one, and how two of them differ (arXiv 2310.08043)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ..analysis.fields import VectorField, total_variation
from .maze import add_maze_legend, cell_points, draw_inhabitants, draw_tint, draw_walls, level_name, mark_decision
from .style import HEAT, INK, colour_bar, new_axes, new_row, set_title

_LENGTH = 0.86
"""Length in cells of the arrow of a move that is certain."""

_ARROWS = 2.0  # over icons and marks


def plot_field(
    field: VectorField,
    ax: Axes | None = None,
    *,
    policy: str = "",
    title: str | None = None,
    decision: bool = False,
) -> Axes:
    """Draws a policy's vector field: on each free square the arrow (p_right − p_left, p_up − p_down).

    The arrow is centred on its square, and 0.86 cells long for a move that is certain; where moves cancel, a dot is
    left. There is none on the cheese.

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
    ax = new_axes(ax, 4.6, 5.2)
    draw_walls(ax, field.level)
    draw_inhabitants(ax, field.level)
    _draw_arrows(ax, field.arrows, _LENGTH)
    if decision:
        mark_decision(ax, field.level)
        add_maze_legend(ax)
    set_title(ax, field_name(field) if title is None else title, policy)
    return ax


def plot_field_change(
    before: VectorField,
    after: VectorField,
    axes: Sequence[Axes] | None = None,
    *,
    policies: tuple[str, str] = ("", ""),
    decision: bool = False,
) -> tuple[Axes, ...]:
    """Draws two vector fields and how they differ: before, after, difference.

    The difference colours squares by the total variation distance between the two policies' moves, from 0, all the
    same, to 1, nothing in common. Its arrows, after − before, are at half the fields' scale: a reversal is twice as
    long as a certain move.

    Args:
        before: a field.
        after: another, in a level with the same walls.
        axes: where to draw the three; None makes a figure.
        policies: the two policies' names with their edits, for the lines below the titles: `policy.name`.
        decision: mark the decision square and the corner of the first field's level.

    Returns:
        The three axes.

    Raises:
        ValueError: if the walls differ, or the decision square is to be marked and the level has none.
    """
    change = total_variation(before, after)
    first, second, third = new_row(axes, 3, 4.2, 4.9)
    for ax, field, when, policy in zip((first, second), (before, after), ("before", "after"), policies, strict=True):
        plot_field(field, ax, policy=policy, title=f"{field_name(field)}: {when}")
        if decision:
            mark_decision(ax, before.level)
    draw_walls(third, before.level)
    heat = draw_tint(third, change, Normalize(0, 1), HEAT)
    draw_inhabitants(third, before.level)
    _draw_arrows(third, after.arrows - before.arrows, _LENGTH / 2)
    if decision:
        mark_decision(third, before.level)
        add_maze_legend(first)
    set_title(third, "difference", f"mean change {np.nanmean(change):.3f}; arrows at half scale")
    colour_bar(third, heat, "total variation distance of the moves")
    return first, second, third


def field_name(field: VectorField) -> str:
    """What a title calls a field: its level, and the mouse's facing where it is not the usual one."""
    return level_name(field.level) + (", mouse reflected" if field.reflected else "")


def _draw_arrows(ax: Axes, arrows: NDArray[np.float32], length: float) -> None:
    """Arrows on the squares where there are any.

    Args:
        ax: axes with a maze.
        arrows: float32 [world, world, 2], indexed [y, x], in probabilities; NaN where there is none.
        length: cells for 1.
    """
    y, x = np.nonzero(np.isfinite(arrows).all(axis=2))
    right, up = arrows[y, x].T
    halo = float(np.clip(0.06 * cell_points(ax), 0.5, 2.0))
    ax.quiver(
        x,
        y,
        right,
        up,
        angles="xy",
        scale_units="xy",
        scale=1 / length,
        units="xy",
        width=0.1,
        headwidth=3.6,
        headlength=3.4,
        headaxislength=3.0,
        minlength=0.8,
        pivot="mid",
        color=INK,
        zorder=_ARROWS,
        path_effects=[withStroke(linewidth=halo, foreground="white")],  # readable on the mouse too
    )
