"""Recording: the activations that a policy, edited or not, has on levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..maze.levels import Level, Levels, LevelsLike
from ..maze.rendering import observe
from ..policy.network import Tap
from .parameters import nearest

DEFAULT_LAYER = "embedder.block2.res1.resadd_out"
"""The layer that Mini et al. 2023 (arXiv 2310.08043) add their vectors at: 32 × width channels of 16 × 16 cells."""

_BATCH = 16  # on a CPU, activations of more than these fall out of its caches


class TappedPolicy(Protocol):
    """What can be recorded and edited: an `ImpalaPolicy`, an edited policy, an adapted module.

    Attributes:
        layers: the names of its intermediates.
        name: what to call it, None if it has no name.
        hash: SHA-256 of its weights file, None if there is none.
    """

    @property
    def layers(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def hash(self) -> str | None: ...  # noqa: D102

    def __call__(
        self,
        obs: Tensor | np.ndarray,
        *,
        tap: Tap | None = None,
        levels: Levels | Level | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> Any:
        """Runs it on observations, passing every intermediate through `tap`."""


def record(policy: TappedPolicy, levels: LevelsLike, layers: str | Sequence[str]) -> dict[str, Tensor]:
    """Runs a policy on levels, each with the mouse where it stands, and keeps activations.

    Of an edited policy these are the activations of the edited forward pass, after the edits at each layer.

    Args:
        policy: the policy.
        levels: Levels, a Level or a sequence of Level: n of them, run in batches of 16 in their order.
        layers: one or more names out of `policy.layers`.

    Returns:
        For each layer, in the order asked for, float32 [n, …] on the CPU: [n, channels, height, width] before the
        network flattens, [n, features] after.

    Raises:
        ValueError: there are no levels; the policy has no layer of that name (the message has the nearest); a layer
            of an adapted module runs twice in a pass or gives no tensor.
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    for name in names:
        check_layer(name, policy.layers)
    batch = Levels.stack(levels)
    if not len(batch):
        raise ValueError("there are no levels to record")
    parts = [_pass(policy, batch[start : start + _BATCH], names) for start in range(0, len(batch), _BATCH)]
    return {name: torch.cat([part[name] for part in parts]) for name in names}


def check_layer(name: str, layers: Sequence[str]) -> None:
    """Makes sure that a network has a layer.

    Raises:
        ValueError: it has not; the message has the nearest names.
    """
    if name not in layers:
        raise ValueError(f"unknown layer {name!r}; {nearest(name, layers)}")


def _pass(policy: TappedPolicy, levels: Levels, names: Sequence[str]) -> dict[str, Tensor]:
    recorded: dict[str, Tensor] = {}

    def tap(name: str, activation: Tensor) -> Tensor:
        if name in names:
            if name in recorded:
                raise ValueError(f"layer {name!r} runs more than once in a pass; record a module that runs once")
            # A copy: layers may share memory (flatten is a view), and a later one may be written to.
            recorded[name] = activation.detach().to("cpu", torch.float32, copy=True)
        return activation

    # Without gradients, and in full float32: cuDNN would round convolutions to TF32.
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        policy(observe(levels), tap=tap, levels=levels, rows=np.arange(len(levels)))
    for name in names:
        if name not in recorded:
            raise ValueError(f"layer {name!r} gave no tensor in this pass; record a module that runs and returns one")
    return recorded
