"""Any torch module as a policy that can be recorded and edited, through forward hooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..maze.levels import Level, Levels
from ..policy.network import Tap, move_probabilities

_running: ContextVar[object] = ContextVar("_running", default=None)


class AdaptedModule(nn.Module):
    """A module whose submodules' outputs pass through a tap; made by `adapt`.

    Its layers are the paths of its submodules, as in `module.named_modules()`. Hooks are there during a call only;
    they leave other threads' calls, and calls without a tap, alone.

    Attributes:
        module: the module, unchanged.
        layers: the paths of its submodules.
        name: what to call it.
        hash: what tells its weights from others'.
    """

    def __init__(self, module: nn.Module, name: str | None = None, hash: str | None = None) -> None:
        super().__init__()
        self.module = module
        self.layers = tuple(path for path, _ in module.named_modules() if path)
        self.name = name
        self.hash = hash

    @property
    def device(self) -> torch.device:
        """The device of its first parameter, the CPU if it has none."""
        return next((parameter.device for parameter in self.module.parameters()), torch.device("cpu"))

    def forward(
        self,
        obs: Tensor | np.ndarray,
        *,
        tap: Tap | None = None,
        levels: Levels | Level | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> Any:
        """Runs the module.

        Args:
            obs: passed on to the module as it is.
            tap: called with the path and the output of every submodule that returns a tensor, in the order in which
                they finish; what it returns takes the output's place. A submodule that runs twice is seen twice.
            levels: ignored here; edited policies use them.
            rows: ignored here.

        Returns:
            What the module returns; to be a policy, a `PolicyOutput`, or anything with its `logits` and `value`.
        """
        if tap is None:
            return self.module(obs)
        call = object()  # what runs in a hook (a per-level vector, say) and in other threads is another call
        with ExitStack() as undo:
            for path in self.layers:
                undo.callback(self.module.get_submodule(path).register_forward_hook(_hook(path, tap, call)).remove)
            undo.callback(_running.reset, _running.set(call))
            return self.module(obs)

    def moves(
        self,
        obs: Tensor | np.ndarray,
        *,
        levels: Levels | Level | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> Tensor:
        """Probabilities of the five moves, float32 [n, 5], of a module that returns `logits`."""
        return move_probabilities(self(obs, levels=levels, rows=rows).logits)


def adapt(module: nn.Module, *, name: str | None = None, hash: str | None = None) -> AdaptedModule:
    """Makes a policy that `record` and `edited` take out of any torch module.

    Args:
        module: takes observations as its one argument. It shares its weights with the result and is not changed.
        name: what to call it in figures and records.
        hash: what tells its weights from others', so that vectors are not mixed up; its file's SHA-256 for instance.

    Raises:
        TypeError: it is no torch module.

    >>> adapt(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))).layers
    ('0', '1')
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, not {type(module).__name__}")
    return AdaptedModule(module, name, hash)


def _hook(path: str, tap: Tap, call: object) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        if _running.get() is not call or not isinstance(output, Tensor):
            return None  # leaves the output as it is
        return tap(path, output)

    return hook
