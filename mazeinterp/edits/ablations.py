"""Edits of a region: clamp, scale, zero, mean and resample ablation, and patching.

A region is a channel or several, a cell, or both; without either it is the whole layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from ..maze.levels import Levels
from ..maze.worlds import Square
from ..policy.network import ImpalaPolicy
from .cells import Cell, cell_of
from .edits import EditContext
from .parameters import Range
from .recipes import Reference, Resampled, VectorLike, reference_levels
from .recording import DEFAULT_LAYER
from .registry import find_vector, register
from .vectors import average

Index = Annotated[int, Range(low=0)]


@dataclass(frozen=True, kw_only=True)
class Region:
    """What edits of a part of a layer have in common.

    Attributes:
        channel: index of a channel (or of a feature, in a layer without cells), or several; all by default.
        at: a maze square (x, y), standing for the cell that looks at it (`cell_of`).
        cell: a cell (row, column) of the layer, row 0 at the top; by default, with no `at` either, all cells.
        layer: the layer.

    Raises:
        ValueError: from the constructor, if both `at` and `cell` are given, or no channel at all.
    """

    channel: Index | tuple[Index, ...] | None = None
    at: tuple[Index, Index] | None = None
    cell: tuple[Index, Index] | None = None
    layer: str = DEFAULT_LAYER

    def __post_init__(self) -> None:
        if self.at is not None and self.cell is not None:
            raise ValueError(f"give at={self.at} or cell={self.cell}, not both: they name one place")
        if self.channel == ():
            raise ValueError("channel=() is no channel; leave it out for all")

    def mask(self, activation: Tensor, context: EditContext) -> Tensor:
        """Where the region is: bool of an activation's shape without the batch, on its device.

        Raises:
            ValueError: the layer has no such channel or cell, or the square needs levels and there are none.
        """
        shape = activation.shape[1:]
        mask = torch.ones(shape, dtype=torch.bool)
        if self.channel is not None:
            channels = [self.channel] if isinstance(self.channel, int) else list(self.channel)
            if max(channels) >= shape[0]:
                raise ValueError(f"{context.layer} has channels 0 to {shape[0] - 1}, no {max(channels)}")
            others = torch.ones(shape[0], dtype=torch.bool)
            others[channels] = False
            mask[others] = False
        if self.at is not None or self.cell is not None:
            if len(shape) != 3:
                raise ValueError(f"{context.layer} has no cells: its activation has shape {list(activation.shape)}")
            row, column = self.cell or _cell(self.at, shape[1], context)
            if row >= shape[1] or column >= shape[2]:
                raise ValueError(f"cell {(row, column)} is outside {context.layer}, which has {shape[1]} × {shape[2]}")
            here = torch.zeros(shape[1:], dtype=torch.bool)
            here[row, column] = True
            mask &= here
        return mask.to(activation.device)


@register("clamp")
@dataclass(frozen=True, kw_only=True)
class Clamp(Region):
    """Sets a region to a value: retargeting, with one channel at one square (arXiv 2310.08043).

    Attributes:
        value: the value, in units of the activation.
    """

    value: Annotated[float, Range(-10, 10, soft=True)]

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Sets the region."""
        return torch.where(self.mask(activation, context), self.value, activation)


@register("scale")
@dataclass(frozen=True, kw_only=True)
class Scale(Region):
    """Multiplies positive and negative numbers of a region, each by its own factor.

    Attributes:
        positive: factor of what is above 0.
        negative: factor of what is below 0.
    """

    positive: Annotated[float, Range(-5, 5, soft=True)] = 1.0
    negative: Annotated[float, Range(-5, 5, soft=True)] = 1.0

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Scales the region."""
        scaled = torch.where(activation > 0, activation * self.positive, activation * self.negative)
        return torch.where(self.mask(activation, context), scaled, activation)


@register("zero")
@dataclass(frozen=True, kw_only=True)
class Zero(Region):
    """Zero ablation: sets a region to 0."""

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Sets the region to 0."""
        return torch.where(self.mask(activation, context), 0.0, activation)


@register("mean")
@dataclass(frozen=True, kw_only=True)
class Mean(Region):
    """Mean ablation: sets a region to its mean activation over reference levels, the mice where those have them.

    Attributes:
        reference: the reference levels: `Levels`, or two seeds, the first and one past the last, in the mode of the
            levels at hand.
    """

    reference: Reference = (500_000, 500_128)

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Sets the region to its mean."""
        levels = self.reference if isinstance(self.reference, Levels) else context.need_levels()[0]
        reference = reference_levels(self.reference, levels.mode)
        key = ("mean", self.reference, levels.mode)
        mean = context.cached(key, lambda: average(context.policy, reference, context.layer).values)
        values = torch.tensor(mean[None]).to(activation)
        return torch.where(self.mask(activation, context), values, activation)


@register("resample")
@dataclass(frozen=True, kw_only=True)
class Resample(Region):
    """Resample ablation: sets a region to what it is on another level, drawn at random once for each level.

    The draw depends on the seed and the level alone, so every square of a level meets the same donor, the policy has
    a table, and results do not depend on the batch. The donor's mouse is at its start; a level with the same walls is
    no donor.

    Attributes:
        reference: the levels to draw from: `Levels`, or two seeds, the first and one past the last, in the mode of
            the levels at hand.
        seed: seed of the draw.
    """

    reference: Reference = (500_000, 500_128)
    seed: Index = 0

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Sets the region to the donors' activations."""
        values = context.values(Resampled(self.reference, self.seed), activation)
        return torch.where(self.mask(activation, context), values, activation)


@register("patch")
@dataclass(frozen=True)
class Patch(Region):
    """Sets a region to a vector's numbers: activation patching, from `run(7)` or `average(policy, levels)`.

    Attributes:
        source: what to set it to: another level's run (`run(7)` in text), a `SteeringVector`, or a recipe.
    """

    source: VectorLike

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.source, str):
            object.__setattr__(self, "source", find_vector(self.source))

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Sets the region to the source's numbers."""
        values = context.values(self.source, activation)
        return torch.where(self.mask(activation, context), values, activation)


def _cell(square: Square | None, size: int, context: EditContext) -> Cell:
    if not isinstance(context.policy, ImpalaPolicy):
        raise ValueError("at=… is defined by the poolings of an ImpalaPolicy; for this network give cell=(row, column)")
    assert square is not None
    return cell_of(square, size, context.need_levels()[0].mode)
