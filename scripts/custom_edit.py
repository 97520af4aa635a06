"""An edit of your own, by name and with checked parameters: custom_edit.py "dampen(channel=7, factor=0.2)"."""

import sys
from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from mazeinterp import Level, load_policy, observe
from mazeinterp.edits import DEFAULT_LAYER, EditContext, Range, edited, parse_edit, register


@register("dampen")
@dataclass(frozen=True)
class Dampen:
    """Multiplies a channel by a factor."""

    channel: Annotated[int, Range(low=0)]
    factor: Annotated[float, Range(0, 1)] = 0.5
    layer: str = DEFAULT_LAYER

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:  # noqa: D102
        result = activation.clone()
        result[:, self.channel] *= self.factor
        return result


policy = edited(load_policy("rand_region_5"), parse_edit((sys.argv[1:] or ["dampen(channel=7)"])[0]))
print(policy.name, "left, right, up, down, stay:", policy.moves(observe(Level.from_seed(0)))[0].tolist())
