"""Curves with their intervals as bands: dose and response, layer by layer, training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from ..policy.network import LAYERS
from .style import (
    CYCLE,
    DASHES,
    FAINT,
    MUTED,
    TEXT_SIZE,
    add_legend,
    add_legend_below,
    layer_label,
    measure_label,
    need_columns,
    new_axes,
    new_row,
    of_measure,
    set_title,
    tidy,
)

Quantity = Literal["estimate", "difference", "removal"]

_QUANTITIES = {"estimate": "{}", "difference": "change in {}", "removal": "removal of {}"}

_SMOOTHED = 15
"""Rows of a training log that a point of its curves stands for."""

_ASIDE = ("step", "seconds", "learning_rate", "run")
"""Columns of a training log that are no curves."""

_SHARES = ("success", "accuracy")
"""Columns of a training log that are at most 1."""


def plot_dose_response(
    sweep: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measure: str = "p_cheese_move",
    quantity: Quantity = "estimate",
    title: str = "Dose and response",
) -> Axes:
    """Draws what vectors do by their coefficient: a line for each, its interval as a band.

    Args:
        sweep: a table of `coefficient_sweep`: vector, coefficient, measure, and the quantity with its interval. Rows
            without a coefficient, such as "unedited" and "no cheese", are level lines to compare with.
        ax: where to draw; None makes a figure.
        measure: the measure to draw.
        quantity: its mean ("estimate"), its paired "difference" to the unedited policy, or the "removal".
        title: the title.

    Returns:
        The axes: coefficients across, the quantity up.

    Raises:
        ValueError: if a column or the measure is missing.
    """
    rows = _sweep_rows(sweep, "coefficient", measure, quantity)
    ax = new_axes(ax, 6.8, 4.0)
    swept = rows["coefficient"].notna()
    for label, colour, curve in _curves(rows[swept]):
        curve = curve.sort_values("coefficient")
        ax.fill_between(curve["coefficient"], curve["low"], curve["high"], color=colour, alpha=0.14, linewidth=0)
        ax.plot(curve["coefficient"], curve["middle"], color=colour, marker="o", markersize=4, label=label)
    for (label, value), dashes in zip(_levels(rows[~swept]), DASHES, strict=False):
        ax.axhline(value, color=MUTED, linewidth=1.2, linestyle=dashes, label=label, zorder=1)
    tidy(ax, "coefficient", _QUANTITIES[quantity].format(measure_label(measure)))
    set_title(ax, title)
    add_legend_below(ax, columns=3)
    return ax


def plot_layer_sweep(
    sweep: pd.DataFrame,
    ax: Axes | None = None,
    *,
    measure: str = "p_cheese_move",
    quantity: Quantity = "estimate",
    title: str = "Layer by layer",
) -> Axes:
    """Draws what vectors do by the layer that they are added at: a line for each, its interval as a band.

    Args:
        sweep: a table of `layer_sweep`: vector, layer, measure, and the quantity with its interval. Rows without a
            layer, such as "unedited" and "no cheese", are level lines to compare with.
        ax: where to draw; None makes a figure.
        measure: the measure to draw.
        quantity: its mean ("estimate"), its paired "difference" to the unedited policy, or the "removal".
        title: the title.

    Returns:
        The axes: layers down, those of the maze network in forward order, others in the table's; the quantity across.

    Raises:
        ValueError: if a column or the measure is missing.
    """
    rows = _sweep_rows(sweep, "layer", measure, quantity)
    swept = rows["layer"].notna()
    found = list(dict.fromkeys(rows.loc[swept, "layer"]))
    layers = [layer for layer in LAYERS if layer in found] + [layer for layer in found if layer not in LAYERS]
    place = range(len(layers))
    ax = new_axes(ax, 6.8, 1.8 + 0.17 * len(layers))
    for label, colour, curve in _curves(rows[swept]):
        curve = curve.set_index("layer").reindex(layers)
        ax.fill_betweenx(place, curve["low"], curve["high"], color=colour, alpha=0.14, linewidth=0)
        ax.plot(curve["middle"], place, color=colour, marker="o", markersize=4, label=label)
    for (label, value), dashes in zip(_levels(rows[~swept]), DASHES, strict=False):
        ax.axvline(value, color=MUTED, linewidth=1.2, linestyle=dashes, label=label, zorder=1)
    tidy(ax, _QUANTITIES[quantity].format(measure_label(measure)), grid="x")
    names = [layer_label(layer) for layer in layers]
    ax.set_yticks(place, names)
    ax.tick_params(axis="y", labelsize=TEXT_SIZE - 1, length=0)
    ax.set_ylim(len(layers) - 0.5, -0.5)
    for i, (above, below) in enumerate(pairwise(name.split(".")[0] for name in names)):
        if above != below and above.startswith("block"):
            ax.axhline(i + 0.5, color=FAINT, linewidth=1)
    set_title(ax, title)
    add_legend_below(ax, columns=3)
    return ax


def plot_training(
    log: pd.DataFrame,
    axes: Sequence[Axes] | None = None,
    *,
    columns: Sequence[str] | None = None,
    unit: str = "samples",
) -> tuple[Axes, ...]:
    """Draws training curves, a panel each: the running median, and the running 10th to 90th percentile as a band.

    Args:
        log: a run's `log.csv`: step, and a column for each curve; or those of several runs, with a column `run`.
        axes: where to draw, one for each curve; None makes a figure.
        columns: the curves; None: all columns but step, seconds, learning_rate and run.
        unit: what a step counts: "samples" in imitation, "steps" of the game in PPO.

    Returns:
        The axes, one for each curve.

    Raises:
        ValueError: if a column is missing, there is no curve, or the axes are of another number.
    """
    chosen = [name for name in log if name not in _ASIDE] if columns is None else list(columns)
    need_columns(log, ("step", *chosen), "a training run (its log.csv)")
    if not chosen:
        raise ValueError(f"the log has no curve, only {', '.join(log)}")
    panels = new_row(axes, len(chosen), 3.2, 2.9)
    runs = list(log.groupby("run", sort=False)) if "run" in log else [("", log)]
    for ax, name in zip(panels, chosen, strict=True):
        for (run, rows), colour in zip(runs, CYCLE * len(runs), strict=False):
            curve = rows.dropna(subset=[name]).sort_values("step")
            around = curve[name].rolling(_SMOOTHED, min_periods=1, center=True)
            low, middle, high = (around.quantile(q) for q in (0.1, 0.5, 0.9))
            ax.fill_between(curve["step"], low, high, color=colour, alpha=0.22, linewidth=0)
            ax.plot(curve["step"], middle, color=colour, linewidth=1.6, label=str(run))
        tidy(ax, unit)
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        if name in _SHARES:
            bottom, top = ax.get_ylim()
            ax.set_ylim(bottom, min(top, 1 + 0.03 * (1 - bottom)))  # a share above 1 is nothing to leave room for
        set_title(ax, name.replace("_", " "))
    if len(runs) > 1:
        add_legend(panels[0], loc="best")
    return panels


def _sweep_rows(sweep: pd.DataFrame, axis: str, measure: str, quantity: Quantity) -> pd.DataFrame:
    """The rows of a sweep that have the quantity of the measure, as columns low, middle and high."""
    ends = ["low", "high"] if quantity == "estimate" else [f"{quantity}_low", f"{quantity}_high"]
    need_columns(sweep, ("vector", axis, "measure", quantity, *ends), f"{axis}_sweep")
    rows = of_measure(sweep, measure).dropna(subset=[quantity])
    if rows.empty:
        raise ValueError(f"no row has a {quantity} of {measure!r}")
    return rows[["vector", axis, quantity, *ends]].set_axis(["vector", axis, "middle", "low", "high"], axis=1)


def _levels(rows: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """What the curves of a sweep are to be compared with: names and values."""
    return rows[["vector", "middle"]].itertuples(index=False, name=None)


def _curves(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """The curves of a sweep: label, colour, rows."""
    vectors = dict.fromkeys(rows["vector"])
    for vector, colour in zip(vectors, CYCLE * len(vectors), strict=False):
        yield vector, colour, rows[rows["vector"] == vector]
