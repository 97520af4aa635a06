"""Edits that steer by a vector: adding it, and projecting it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from .edits import EditContext
from .parameters import Range
from .recipes import VectorLike
from .recording import DEFAULT_LAYER
from .registry import find_vector, register
from .vectors import SteeringVector


@register("add")
@dataclass(frozen=True)
class Add:
    """Adds a steering vector, times a coefficient (arXiv 2310.08043): −1 subtracts it.

    Attributes:
        vector: one vector for all levels, or one computed for each, of the network without its edits.
        coefficient: what to multiply it by.
        layer: the layer; by default the vector's own, and `DEFAULT_LAYER` for one computed for each level.
    """

    vector: VectorLike
    coefficient: Annotated[float, Range(-5, 5, soft=True)]
    layer: str = ""

    def __post_init__(self) -> None:
        _settle(self)

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Adds the vector."""
        return activation + self.coefficient * context.values(self.vector, activation)


@register("project")
@dataclass(frozen=True)
class Project:
    """Projects a direction out: takes away the activation's component along a vector (a zero vector has none).

    A vector of the activation's own shape is one direction in the space of the whole layer; one of [channels] is a
    direction in the space of a cell, projected out at every cell.

    Attributes:
        vector: one direction for all levels, or one computed for each, of the network without its edits.
        layer: the layer; by default the vector's own, and `DEFAULT_LAYER` for one computed for each level.
    """

    vector: VectorLike
    layer: str = ""

    def __post_init__(self) -> None:
        _settle(self)

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Takes the component away."""
        if isinstance(self.vector, SteeringVector) and self.vector.values.ndim == 1 and activation.ndim == 4:
            direction = context.values(self.vector, activation[:, :, 0, 0])[:, :, None, None]
            axes: tuple[int, ...] = (1,)
        else:
            direction = context.values(self.vector, activation)
            axes = tuple(range(1, activation.ndim))
        square = (direction * direction).sum(axes, keepdim=True)
        along = (activation * direction).sum(axes, keepdim=True) / square
        return activation - torch.where(square > 0, along * direction, 0.0)


def _settle(edit: Add | Project) -> None:
    """Looks up a vector given by name, and fills in the layer."""
    vector = find_vector(edit.vector) if isinstance(edit.vector, str) else edit.vector
    object.__setattr__(edit, "vector", vector)
    if not edit.layer:
        object.__setattr__(edit, "layer", vector.layer if isinstance(vector, SteeringVector) else DEFAULT_LAYER)
