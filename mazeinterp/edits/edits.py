"""The contract of an edit, and edited policies.

An edit is a frozen dataclass with a `layer` and `apply(activation, context) -> activation`. `edited(policy, *edits)`
is a new policy that applies them in its forward pass: it shares the weights, and nothing is changed or to be undone,
so threads and notebooks can share a network.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..maze.levels import Level, Levels
from ..policy.network import ImpalaPolicy, Tap, move_probabilities
from .adapter import AdaptedModule
from .parameters import check_value, parameters
from .recording import check_layer
from .registry import check_class, format_edit
from .sharing import run_shared
from .vectors import Recipe, SteeringVector

Network = ImpalaPolicy | AdaptedModule
"""What an edited policy stands on: the project's network, or any other through `adapt`."""

_CACHE_BYTES = 2**27


class Edit(Protocol):
    """An intervention on one layer: any frozen dataclass of this form; it need not inherit from anything.

    Its fields, typed, are its parameters: in text, on the command line and in the explorer. A class attribute
    `stochastic = True` says that it draws random numbers or depends on time; tables refuse such edits.

    Attributes:
        layer: the layer whose activation it changes.
    """

    @property
    def layer(self) -> str: ...  # noqa: D102

    def apply(self, activation: Tensor, context: EditContext) -> Tensor:
        """Changes an activation.

        Args:
            activation: [n, channels, height, width] or [n, features], the row of cells at the top of the world first.
                Not to be written to: work on a copy (`activation.clone()`).
            context: the network, the levels, and what depends on them.

        Returns:
            A tensor of the same shape, dtype and device.
        """


@dataclass(frozen=True)
class EditContext:
    """What an edit may want to know of the forward pass that it takes part in.

    Attributes:
        policy: the network, without its edits.
        layer: the layer that is being edited.
        levels: the levels that the observations were made from, None if they were not given.
        rows: int64 [n], index in `levels` of each row of the activation; None without levels.
    """

    policy: Network
    layer: str
    levels: Levels | None
    rows: NDArray[np.int64] | None
    _generator: torch.Generator | None = None

    @property
    def generator(self) -> torch.Generator:
        """Where a stochastic edit draws its random numbers: on the CPU, seeded by `edited(..., seed=...)`.

        Raises:
            ValueError: the edit does not say that it is stochastic.
        """
        if self._generator is None:
            raise ValueError("an edit that draws random numbers says so: give its class `stochastic = True`")
        return self._generator

    def need_levels(self) -> tuple[Levels, NDArray[np.int64]]:
        """The levels and the rows.

        Raises:
            ValueError: the policy was called without levels.
        """
        if self.levels is None or self.rows is None:
            raise ValueError(
                f"an edit at {self.layer} depends on the levels, and the policy was called without them; call "
                "policy(obs, levels=levels), with rows=… where the observations are not one for each level"
            )
        return self.levels, self.rows

    def values(self, vector: SteeringVector | Recipe | str, activation: Tensor) -> Tensor:
        """The numbers of a vector for every row of an activation.

        Args:
            vector: one vector for all rows, or a recipe, by which each level has its own.
            activation: [n, …], what the numbers are for.

        Returns:
            [1, …] or [n, …], of the activation's dtype, on its device.

        Raises:
            ValueError: the vector is of another checkpoint or shape, or a recipe got no levels.
        """
        shape = tuple(activation.shape[1:])
        if isinstance(vector, SteeringVector):
            vector.check(self.policy.hash, shape)
            return torch.tensor(vector.values[None], dtype=activation.dtype, device=activation.device)
        if not isinstance(vector, Recipe):
            raise TypeError(f"expected a SteeringVector or a recipe, not {type(vector).__name__}; see find_vector")
        recipe = vector
        levels, rows = self.need_levels()

        def of_level(index: int) -> NDArray[np.float32]:
            def compute() -> NDArray[np.float32]:
                made = recipe.for_level(self.policy, levels[index], self.layer)
                made.check(self.policy.hash, shape)
                return made.values

            return self.cached((recipe, _content(levels, index)), compute)

        used, place = np.unique(rows, return_inverse=True)
        values = [of_level(index) for index in used.tolist()]
        stacked = torch.from_numpy(np.stack(values)).to(activation.device, activation.dtype)
        stacked = _laid_out_like(activation, stacked)
        return stacked if len(used) == 1 else stacked[torch.from_numpy(place).to(activation.device)]

    def cached(self, key: Hashable, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """What `compute` gives, kept for later passes through the same weights, by key and layer.

        Args:
            key: all that the result depends on, apart from the weights and the layer.
            compute: makes the array; not to be written to afterwards.
        """
        return _cache_of(self.policy).get((self.layer, key), compute, _stamp(self.policy))


@dataclass(frozen=True, repr=False)
class EditedPolicy:
    """A policy that shares a network's weights and edits its activations; made by `edited`.

    Called like the network. It may be shared between threads (a stochastic one too, but then its random numbers fall
    as the threads do).

    Attributes:
        base: the network.
        edits: its edits, in the order in which they apply at a layer.
        seed: seed of stochastic edits' random numbers.
    """

    base: Network
    edits: tuple[Edit, ...]
    seed: int = 0
    _generator: torch.Generator | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for edit in self.edits:
            _check_edit(edit, self.base)
        generator = torch.Generator().manual_seed(self.seed) if self.stochastic else None
        object.__setattr__(self, "_generator", generator)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the network's intermediates."""
        return self.base.layers

    @property
    def name(self) -> str:
        """The network's name and the edits' text forms."""
        return " + ".join([self.base.name or "unnamed network", *map(format_edit, self.edits)])

    @property
    def hash(self) -> str | None:
        """SHA-256 of the network's weights file: the edits change no weight."""
        return self.base.hash

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return self.base.device

    @property
    def stochastic(self) -> bool:
        """Whether an edit draws random numbers or depends on time."""
        return any(_is_stochastic(edit) for edit in self.edits)

    def __call__(
        self,
        obs: Tensor | np.ndarray,
        *,
        tap: Tap | None = None,
        levels: Levels | Level | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> Any:
        """Runs the network on a batch of observations, edited.

        Args:
            obs: observations, as for the network.
            tap: called with every intermediate after its edits, as for the network.
            levels: the levels that the observations were made from; edits that depend on them need them.
            rows: int [n], index in `levels` of each observation; by default there is one level for each, or one for
                all.

        Returns:
            What the network returns.

        Raises:
            ValueError: an edit does not fit (the message says how), needs levels and got none, changed its activation
                in place, or returned another shape; `rows` do not fit `levels`; the layer of an edit did not run.
            TypeError: an edit returned another dtype, or no tensor.
        """
        batch = None if levels is None else Levels.stack(levels)
        places = None if batch is None else _check_rows(rows, len(batch), len(obs))
        reached = set()

        def edit_and_tap(name: str, activation: Tensor) -> Tensor:
            for edit in self.edits:
                if edit.layer == name:
                    generator = self._generator if _is_stochastic(edit) else None
                    activation = _apply(edit, activation, EditContext(self.base, name, batch, places, generator))
                    reached.add(name)
            return activation if tap is None else tap(name, activation)

        if tap is None and isinstance(self.base, ImpalaPolicy) and self.edits:
            first = min((edit.layer for edit in self.edits), key=self.base.layers.index)
            output = run_shared(self.base, obs, first, edit_and_tap, _stamp(self.base))
        else:
            output = self.base(obs, tap=edit_and_tap, levels=batch, rows=places)
        for edit in self.edits:
            if edit.layer not in reached:
                raise ValueError(f"{format_edit(edit)} did nothing: {edit.layer!r} gave no tensor in this pass")
        return output

    def moves(
        self,
        obs: Tensor | np.ndarray,
        *,
        levels: Levels | Level | None = None,
        rows: Tensor | np.ndarray | None = None,
    ) -> Tensor:
        """Probabilities of the five moves; the arguments are those of calling the policy.

        Returns:
            float32 [n, 5], probabilities of left, right, up, down, stay.
        """
        return move_probabilities(self(obs, levels=levels, rows=rows).logits)

    def __repr__(self) -> str:
        return f"<EditedPolicy: {self.name}>"


def edited(policy: Network | EditedPolicy, *edits: Edit, seed: int | None = None) -> EditedPolicy:
    """A policy with edits: a new callable that shares the weights; the policy itself stays as it is.

    `edited(edited(policy, a), b)` is `edited(policy, a, b)`. At one layer, edits apply in their order.

    Args:
        policy: a network, or an edited policy to add edits to.
        *edits: the edits.
        seed: seed of stochastic edits' random numbers; by default that of the policy, if it is edited, else 0.

    Raises:
        TypeError: the policy cannot be edited, or an edit is none.
        ValueError: an edit has a layer that the network lacks, or a parameter that does not fit.

    >>> from mazeinterp.edits import Zero
    >>> edited(ImpalaPolicy(), Zero(channel=5)).name
    'unnamed network + zero(channel=5)'
    """
    if isinstance(policy, EditedPolicy):
        return EditedPolicy(policy.base, policy.edits + edits, policy.seed if seed is None else seed)
    if not isinstance(policy, Network):
        raise TypeError(f"a {type(policy).__name__} cannot be edited; make a torch module editable with adapt(module)")
    return EditedPolicy(policy, edits, seed or 0)


class _Cache:
    """Arrays by key, of one state of a network's weights; the longest unused leave when there are too many bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: object = None
        self._arrays: OrderedDict[Hashable, NDArray[np.float32]] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable, compute: Callable[[], NDArray[np.float32]], stamp: object) -> NDArray[np.float32]:
        with self._lock:
            if stamp != self._stamp:
                self._arrays.clear()
                self._stamp, self._bytes = stamp, 0
            if key in self._arrays:
                self._arrays.move_to_end(key)
                return self._arrays[key]
        array = compute()  # outside the lock: it runs the network; at worst two threads do it at once
        with self._lock:
            if stamp == self._stamp and key not in self._arrays:
                self._arrays[key] = array
                self._bytes += array.nbytes
                while self._bytes > _CACHE_BYTES:
                    self._bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array


_caches: WeakKeyDictionary[Network, _Cache] = WeakKeyDictionary()
_caches_lock = threading.Lock()


def _cache_of(policy: Network) -> _Cache:
    with _caches_lock:
        return _caches.setdefault(policy, _Cache())


def _stamp(policy: Network) -> Hashable:
    """Changes whenever weights do: torch counts the writes to a tensor (outside inference mode)."""
    tensors = chain(policy.parameters(), policy.buffers())
    versions = tuple((tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
    return versions, policy.training, getattr(policy, "precision", None)


def _content(levels: Levels, index: int) -> bytes:
    """All that is known of a level, as bytes."""
    return b"".join(getattr(levels, name)[index].tobytes() for name in levels.__dataclass_fields__)


def _is_stochastic(edit: Edit) -> bool:
    return bool(getattr(edit, "stochastic", False))


def _check_edit(edit: Edit, base: Network) -> None:
    if isinstance(edit, type):
        raise TypeError(f"{edit.__name__} is a class of edits; make one: {edit.__name__}(…)")
    check_class(type(edit))
    if isinstance(edit, Recipe):
        raise TypeError(f"{format_edit(edit)} is a vector and no edit; add it: Add({format_edit(edit)!r}, 1.0)")
    check_layer(edit.layer, base.layers)
    for parameter in parameters(type(edit)):
        check_value(getattr(edit, parameter.name), parameter.hint, f"{type(edit).__name__}: {parameter.name}")


def _apply(edit: Edit, activation: Tensor, context: EditContext) -> Tensor:
    version = None if activation.is_inference() else activation._version
    result = edit.apply(activation, context)
    if not isinstance(result, Tensor):
        raise TypeError(f"{format_edit(edit)} returned a {type(result).__name__}; it must return the new activation")
    if version is not None and activation._version != version:
        raise ValueError(f"{format_edit(edit)} wrote to the activation; work on a copy: activation.clone()")
    if result.shape != activation.shape:
        was, now = list(activation.shape), list(result.shape)
        raise ValueError(f"{format_edit(edit)} turned shape {was} into {now}; an edit keeps the shape")
    if result.dtype != activation.dtype or result.device != activation.device:
        old, new = f"{activation.dtype} on {activation.device}", f"{result.dtype} on {result.device}"
        raise TypeError(f"{format_edit(edit)} turned {old} into {new}; an edit keeps both: result.to(activation)")
    return _laid_out_like(activation, result)


def _laid_out_like(activation: Tensor, result: Tensor) -> Tensor:
    """The result in the activation's memory order, on which the layers above depend for speed and the last digit."""
    if activation.ndim == 4 and activation.is_contiguous(memory_format=torch.channels_last):
        return result.contiguous(memory_format=torch.channels_last)
    return result.contiguous()


def _check_rows(rows: Tensor | np.ndarray | None, levels: int, n: int) -> NDArray[np.int64]:
    if rows is None:
        if levels not in (1, n):
            raise ValueError(f"{n} observations of {levels} levels: rows=… must say which level each is of")
        return np.zeros(n, np.int64) if levels == 1 else np.arange(n)
    places = rows.cpu().numpy() if isinstance(rows, Tensor) else np.asarray(rows)
    if places.shape != (n,) or not np.issubdtype(places.dtype, np.integer):
        raise ValueError(f"rows are {n} whole numbers, one an observation; got {places.dtype} of shape {places.shape}")
    wrong = places[(places < 0) | (places >= levels)]
    if wrong.size:
        raise ValueError(f"a row says level {wrong[0]}; there are {levels} levels, counted from 0")
    return cast("NDArray[np.int64]", places.astype(np.int64))
