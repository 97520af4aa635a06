"""Steering vectors: differences of activations, their algebra, their files and their controls."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import safetensors.numpy
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

from ..maze.generation import WALL
from ..maze.levels import Level, Levels, LevelsLike
from ..maze.paths import corner
from ..policy.checkpoints import write_together
from .recording import DEFAULT_LAYER, TappedPolicy, record

_FORMAT = "mazeinterp.steering_vector/1"


@dataclass(frozen=True, eq=False, repr=False)
class SteeringVector:
    """Numbers to add to a layer's activations, and where they came from. A value: equal by content, hashable.

    Vectors of one layer and one checkpoint add, subtract and scale; the results keep the record.

    Attributes:
        values: float32 [channels, height, width] or [features], read-only, in units of the layer's activations; the
            row of cells at the top of the world first.
        layer: the layer that they were computed at.
        checkpoint: SHA-256 of the weights file that they were computed with, None for a network from no file.
        recipe: how they were computed, in words.
        sources: the levels that they were computed from.

    Raises:
        ValueError: from the constructor, if a number is not finite, or there is none.
    """

    values: NDArray[np.float32]
    layer: str
    checkpoint: str | None
    recipe: str
    sources: tuple[Level, ...] = ()

    def __post_init__(self) -> None:
        values = np.array(self.values, np.float32, order="C")  # a copy: nobody else holds it
        if values.ndim == 0 or not values.size or not np.isfinite(values).all():
            raise ValueError(f"a steering vector holds finite numbers; got an array of shape {list(values.shape)}")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "sources", tuple(self.sources))

    # Algebra

    def __add__(self, other: SteeringVector) -> SteeringVector:
        return self._combine(other, self.values + self._partner(other), f"{self.recipe} + {_bracket(other.recipe)}")

    def __sub__(self, other: SteeringVector) -> SteeringVector:
        return self._combine(other, self.values - self._partner(other), f"{self.recipe} − {_bracket(other.recipe)}")

    def __mul__(self, factor: float) -> SteeringVector:
        return replace(self, values=self.values * float(factor), recipe=f"{factor:g} × {_bracket(self.recipe)}")

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> SteeringVector:
        return self * (1 / divisor)

    def __neg__(self) -> SteeringVector:
        return self * -1.0

    def _partner(self, other: SteeringVector) -> NDArray[np.float32]:
        if not isinstance(other, SteeringVector):
            raise TypeError(f"only steering vectors add to one another, not {type(other).__name__}")
        for what in ("layer", "checkpoint"):
            if getattr(self, what) != getattr(other, what):
                raise ValueError(
                    f"{self.recipe!r} and {other.recipe!r} differ in {what}: {getattr(self, what)} and "
                    f"{getattr(other, what)}; compute both at one layer of one network"
                )
        if self.values.shape != other.values.shape:
            raise ValueError(f"shapes {list(self.values.shape)} and {list(other.values.shape)} do not add up")
        return other.values

    def _combine(self, other: SteeringVector, values: NDArray[np.float32], recipe: str) -> SteeringVector:
        sources = tuple(dict.fromkeys(self.sources + other.sources))
        return replace(self, values=values, recipe=recipe, sources=sources)

    @property
    def norm(self) -> float:
        """Euclidean norm of all its numbers."""
        return float(np.linalg.norm(self.values.astype(np.float64)))

    def translated(self, right: int = 0, up: int = 0) -> SteeringVector:
        """Moved by whole cells of the layer; what leaves the map is lost, and zeros come in.

        Args:
            right: cells to the right, negative to the left. One cell of a 16 × 16 layer is 4 pixels: 1.6 squares of
                a `hard` world, 0.9 of an `easy` one.
            up: cells up, negative down.

        Raises:
            ValueError: the vector is no map of cells.
        """
        if self.values.ndim != 3:
            raise ValueError(f"{self.layer} has no cells to move by: its vectors have shape {list(self.values.shape)}")
        height, width = self.values.shape[1:]
        moved = np.zeros_like(self.values)
        # Row 0 is the top, so moving up is moving towards lower rows.
        to_rows, from_rows = _overlap(height, -up)
        to_columns, from_columns = _overlap(width, right)
        moved[:, to_rows, to_columns] = self.values[:, from_rows, from_columns]
        return replace(self, values=moved, recipe=f"{_bracket(self.recipe)} moved {right} right and {up} up")

    # Controls

    def shuffled(self, seed: int) -> SteeringVector:
        """A control: the same numbers in random order, over all channels and cells."""
        values = np.random.default_rng(seed).permutation(self.values.ravel()).reshape(self.values.shape)
        return replace(self, values=values, recipe=f"{_bracket(self.recipe)} shuffled (seed {seed})")

    def random(self, seed: int) -> SteeringVector:
        """A control: a random direction (every direction as likely) of the same norm."""
        draw = np.random.default_rng(seed).standard_normal(self.values.shape)
        values = draw * (self.norm / np.linalg.norm(draw))
        return replace(self, values=values, recipe=f"random of the norm of {_bracket(self.recipe)} (seed {seed})")

    def matched(self, seed: int) -> SteeringVector:
        """A control: random cells of the same mean and covariance over channels, exactly.

        The cells, each a vector over channels, are samples. Their deviations from the mean are turned by a random
        rotation of sample space, which keeps mean and covariance and nothing else. Of a vector without cells, the
        features are samples of one number.
        """
        values = self.values.astype(np.float64)
        samples = values.reshape(len(values), -1).T if values.ndim == 3 else values.reshape(-1, 1)
        mean = samples.mean(axis=0)
        _, scales, axes = np.linalg.svd(samples - mean, full_matrices=False)
        kept = min(len(scales), len(samples) - 1)  # deviations from a mean have at most so many dimensions
        draw = np.random.default_rng(seed).standard_normal((len(samples), kept))
        q, r = np.linalg.qr(np.column_stack([np.ones(len(samples)), draw]))
        basis = q[:, 1:] * np.sign(np.diag(r)[1:])  # uniform over orthonormal systems orthogonal to the mean
        turned = mean + (basis * scales[:kept]) @ axes[:kept]
        shaped = turned.T.reshape(values.shape)
        recipe = f"random of the mean and covariance of {_bracket(self.recipe)} (seed {seed})"
        return replace(self, values=shaped, recipe=recipe)

    # Files

    def save(self, path: str | Path) -> None:
        """Saves it as a safetensors file with its record in the metadata, whole or not at all.

        Raises:
            ValueError: the name does not end in .safetensors.
            OSError: the disk does not take the file.
        """
        target = Path(path)
        if target.suffix != ".safetensors":
            raise ValueError(f"a vector's file ends in .safetensors, {target.name!r} does not")
        metadata = {
            "format": _FORMAT,
            "layer": self.layer,
            "recipe": self.recipe,
            "sources": json.dumps([str(level) for level in self.sources]),
        }
        if self.checkpoint is not None:
            metadata["checkpoint"] = self.checkpoint
        data = safetensors.numpy.save({"values": self.values}, metadata)
        write_together(target.parent, {target.name: data})

    # Use

    def check(self, checkpoint: str | None, shape: tuple[int, ...]) -> None:
        """Makes sure that the vector fits a network and an activation.

        Args:
            checkpoint: the network's hash.
            shape: the shape of the activation, without the batch.

        Raises:
            ValueError: it does not; the message says what would do.
        """
        if self.checkpoint != checkpoint:
            raise ValueError(
                f"the vector '{self.recipe}' is of another checkpoint ({_short(self.checkpoint)}) than the network "
                f"({_short(checkpoint)}); compute it with this network, or, to carry it over on purpose, use "
                "dataclasses.replace(vector, checkpoint=policy.hash)"
            )
        if self.values.shape != shape:
            raise ValueError(
                f"the vector '{self.recipe}' has shape {list(self.values.shape)}, of {self.layer}; the activation "
                f"has {list(shape)}: use it at its own layer, or compute one for this layer"
            )

    def _key(self) -> tuple[object, ...]:
        return self.values.tobytes(), self.values.shape, self.layer, self.checkpoint, self.recipe, self.sources

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, SteeringVector) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __str__(self) -> str:
        return self.recipe

    def __repr__(self) -> str:
        shape, origin = " × ".join(map(str, self.values.shape)), _short(self.checkpoint)
        return f"<SteeringVector: {self.recipe}, {self.layer}, {shape}, norm {self.norm:.3g}, {origin}>"


@runtime_checkable
class Recipe(Protocol):
    """A vector computed for each level: a frozen dataclass with `for_level`, registered like an edit.

    It must depend on its arguments and its own fields alone: what it gives is kept and used again.
    """

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The vector of one level, of the network without its edits."""


def average(policy: TappedPolicy, levels: LevelsLike, layer: str = DEFAULT_LAYER) -> SteeringVector:
    """The mean activation over levels, each with the mouse where it stands.

    Args:
        policy: the policy, edited or not.
        levels: Levels, a Level or a sequence of Level.
        layer: a layer of the policy.

    Raises:
        ValueError: as `record`.
    """
    batch = Levels.stack(levels)
    return _vector(policy, _mean(policy, batch, layer), layer, f"activations of {_name(batch)}", batch)


def difference(policy: TappedPolicy, plus: LevelsLike, minus: LevelsLike, layer: str = DEFAULT_LAYER) -> SteeringVector:
    """The mean activation over some levels minus that over others, each with the mouse where it stands.

    Args:
        policy: the policy, edited or not.
        plus: Levels, a Level or a sequence of Level.
        minus: likewise; it need not be as many.
        layer: a layer of the policy.

    Raises:
        ValueError: as `record`.
    """
    plus, minus = Levels.stack(plus), Levels.stack(minus)
    values = _mean(policy, plus, layer) - _mean(policy, minus, layer)
    sources = (*plus, *minus)
    return _vector(policy, values, layer, f"{_name(plus)} minus {_name(minus)}", sources)


def cheese_vector(policy: TappedPolicy, levels: LevelsLike, layer: str = DEFAULT_LAYER) -> SteeringVector:
    """The cheese vector: activations with the cheese minus without, the mouse at the start (arXiv 2310.08043).

    Subtracting it is adding it with coefficient −1.

    Args:
        policy: the policy, edited or not.
        levels: Levels, a Level or a sequence of Level; of several, the mean vector. The mouse is put at the maze's
            bottom-left cell, unreflected; in a grid of one's own, or where that cell is a wall, it stays in place.
        layer: a layer of the policy.

    Raises:
        ValueError: a level has not exactly one cheese, or as `record`.
    """
    start = at_start(levels)
    if (start.cheese < 0).any():
        row = int(np.argmax(start.cheese[:, 0] < 0))
        raise ValueError(f"level {row} of {len(start)} has no cheese; a cheese vector needs one (with_cheese)")
    values = _mean_contrast(policy, start, start.without_cheese(), layer)
    return _vector(policy, values, layer, f"cheese of {_name(start)}", start)


def top_right_vector(policy: TappedPolicy, levels: LevelsLike, layer: str = DEFAULT_LAYER) -> SteeringVector:
    """The top-right vector: activations with a path opened to the world's top-right corner minus without.

    The mouse is at the start and the cheese stays where it is ("Maze-solving agents: Add a top-right vector, make the
    agent go to the top-right", Turner, Grietzer and Thiergart 2023; arXiv 2310.08043). Where the corner can be
    reached already, as in a maze as large as the world, there is nothing to open, and the vector is zero.

    Args:
        policy: the policy, edited or not.
        levels: Levels, a Level or a sequence of Level; of several, the mean vector. The mouse is placed as by
            `cheese_vector`.
        layer: a layer of the policy.

    Raises:
        ValueError: as `record`.
    """
    start = at_start(levels)
    opened = Levels.stack([open_top_right(level) for level in start])
    return _vector(policy, _mean_contrast(policy, opened, start, layer), layer, f"top_right of {_name(start)}", start)


def open_top_right(level: Level) -> Level:
    """The level with a path from the maze's corner to the world's top-right cell, L-shaped as in the published code.

    From the corner (`mazeinterp.maze.corner`) it goes straight up to the world's top row, then right along that row.
    """
    (x, y), last = corner(level)[0].tolist(), level.world - 1
    upwards = [(x, row) for row in range(y, level.world)]
    rightwards = [(column, last) for column in range(x, level.world)]
    return level.without_walls([square for square in upwards + rightwards if level.grid[square[1], square[0]] == WALL])


def load_vector(path: str | Path) -> SteeringVector:
    """Loads a vector that `SteeringVector.save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no steering vector.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no file {str(path)!r} to load a steering vector from")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            values = file.get_tensor("values") if "values" in file.keys() else None  # noqa: SIM118  # no mapping
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    if metadata.get("format") != _FORMAT or values is None:
        raise ValueError(f"{path} holds no steering vector: its format is {metadata.get('format')!r}, not {_FORMAT!r}")
    sources = tuple(Level.from_text(text) for text in json.loads(metadata["sources"]))
    return SteeringVector(values, metadata["layer"], metadata.get("checkpoint"), metadata["recipe"], sources)


def keyed_seed(seed: int, level: Level) -> int:
    """A seed of its own for every level: the same on every machine and in every batch."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\n{level}".encode(), digest_size=8).digest())


def _mean(policy: TappedPolicy, levels: Levels, layer: str) -> NDArray[np.float64]:
    return record(policy, levels, layer)[layer].numpy().mean(axis=0, dtype=np.float64)


def _mean_contrast(policy: TappedPolicy, plus: Levels, minus: Levels, layer: str) -> NDArray[np.float64]:
    """Mean over rows of the first activation minus the second.

    A forward pass for each pair, so that a level's vector is the same number for number whatever it is computed with.
    """
    total: Any = 0.0
    for pair in zip(plus, minus, strict=True):
        first, second = record(policy, pair, layer)[layer].numpy()
        total = total + (first - second).astype(np.float64)
    return total / len(plus)


def _vector(
    policy: TappedPolicy, values: ArrayLike, layer: str, recipe: str, sources: Levels | tuple[Level, ...]
) -> SteeringVector:
    # The hash names the weights, the recipe what was done to them.
    made_of = recipe if not getattr(policy, "edits", ()) else f"{recipe}, by {policy.name}"
    return SteeringVector(np.asarray(values, np.float32), layer, policy.hash, made_of, tuple(sources))


def at_start(levels: LevelsLike) -> Levels:
    """The levels with the mouse at the maze's bottom-left cell, unreflected, as episodes begin."""
    batch = Levels.stack(levels)
    cell = (batch.world - batch.maze_dim) // 2
    usable = (batch.maze_dim > 0) & (batch.grid[np.arange(len(batch)), cell, cell] != WALL)
    start = np.where(usable[:, None], cell[:, None], batch.mouse)
    if (start == batch.mouse).all() and not batch.reflected.any():
        return batch  # as generated: not marked as edited
    return batch.with_mouse(start).with_reflected(False)


def _name(levels: Levels) -> str:
    """A short name of the levels in a recipe."""
    if len(levels) > 1:
        return f"{len(levels)} levels"
    return f"level {levels.seed[0]}" if levels.seed[0] >= 0 else "one level"


def _bracket(recipe: str) -> str:
    return f"({recipe})" if any(sign in recipe for sign in "+−×") else recipe


def _short(checkpoint: str | None) -> str:
    return "no checkpoint" if checkpoint is None else f"checkpoint {checkpoint[:8]}"


def _overlap(size: int, shift: int) -> tuple[slice, slice]:
    """Where a row of `size` cells lands when shifted, and where it comes from."""
    kept = max(0, size - abs(shift))
    to, start = max(0, shift), max(0, -shift)
    return slice(min(to, size), min(to, size) + kept), slice(min(start, size), min(start, size) + kept)
