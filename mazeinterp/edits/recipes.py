"""Vectors computed for each level: the named ones, and the controls of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np

from ..maze.levels import Level, Levels
from ..maze.worlds import Mode
from .parameters import Range
from .recording import TappedPolicy
from .registry import register
from .vectors import (
    Recipe,
    SteeringVector,
    at_start,
    average,
    cheese_vector,
    keyed_seed,
    top_right_vector,
)

Seed = Annotated[int, Range(low=0)]
Reference = Annotated[Levels | tuple[Seed, Seed], "two seeds (first, one past the last) or Levels"]
VectorLike = Annotated[
    SteeringVector | Recipe | str, "a vector: a name (cheese, top_right, …), a .safetensors file or a SteeringVector"
]
Inner = Annotated[Recipe, "a vector computed for each level (cheese, top_right, …)"]


@register("cheese")
@dataclass(frozen=True)
class Cheese:
    """The cheese vector of each level: activations with its cheese minus without, the mouse at the start."""

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The level's cheese vector."""
        return cheese_vector(policy, level, layer)


@register("top_right")
@dataclass(frozen=True)
class TopRight:
    """The top-right vector of each level: with a path opened to the world's top-right corner minus without."""

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The level's top-right vector."""
        return top_right_vector(policy, level, layer)


@register("run")
@dataclass(frozen=True)
class Run:
    """The activations of one level's run, for all levels: what to patch from.

    Attributes:
        level: the level, with the mouse where it stands, or the seed of one of the mode at hand.
    """

    level: Annotated[Level | Seed, "a level's seed or a Level"]

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The run's activations, whatever the level."""
        source = self.level if isinstance(self.level, Level) else Level.from_seed(self.level, level.mode)
        return average(policy, source, layer)


@register("shuffled")
@dataclass(frozen=True)
class Shuffled:
    """A control: each level's vector with its numbers in random order, another for each level.

    Attributes:
        of: the vector.
        seed: seed of the order.
    """

    of: Inner
    seed: Seed = 0

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The level's vector, shuffled."""
        return self.of.for_level(policy, level, layer).shuffled(keyed_seed(self.seed, level))


@register("random")
@dataclass(frozen=True)
class Random:
    """A control: a random direction of the norm of each level's vector.

    Attributes:
        of: the vector.
        seed: seed of the directions.
    """

    of: Inner
    seed: Seed = 0

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """A random vector of the norm of the level's."""
        return self.of.for_level(policy, level, layer).random(keyed_seed(self.seed, level))


@register("matched")
@dataclass(frozen=True)
class Matched:
    """A control: random cells of the mean and covariance over channels of each level's vector.

    Attributes:
        of: the vector.
        seed: seed of the cells.
    """

    of: Inner
    seed: Seed = 0

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """A random vector of the mean and covariance of the level's."""
        return self.of.for_level(policy, level, layer).matched(keyed_seed(self.seed, level))


@register("another")
@dataclass(frozen=True)
class Another:
    """A control: another maze's vector, that of a reference level drawn at random once for each level.

    Attributes:
        of: the vector.
        reference: the levels to draw from: `Levels`, or two seeds, the first and one past the last, in the mode of
            the levels at hand.
        seed: seed of the draw.
    """

    of: Inner
    reference: Reference = (500_000, 500_128)
    seed: Seed = 0

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The donor's vector."""
        return self.of.for_level(policy, donor(self.reference, level, self.seed), layer)


@register("translated")
@dataclass(frozen=True)
class Translated:
    """Each level's vector moved by whole cells of the layer; what leaves the map is lost, and zeros come in.

    Attributes:
        of: the vector.
        right: cells to the right, negative to the left.
        up: cells up, negative down.
    """

    of: Inner
    right: int = 0
    up: int = 0

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The level's vector, moved."""
        return self.of.for_level(policy, level, layer).translated(self.right, self.up)


@dataclass(frozen=True)
class Resampled:
    """The activations of a reference level drawn at random once for each level, the mouse at the donor's start.

    Attributes:
        reference: the levels to draw from.
        seed: seed of the draw.
    """

    reference: Reference = (500_000, 500_128)
    seed: Seed = 0

    def for_level(self, policy: TappedPolicy, level: Level, layer: str) -> SteeringVector:
        """The donor's activations."""
        return average(policy, at_start(donor(self.reference, level, self.seed)), layer)


def controls_of(vector: SteeringVector | Recipe, seed: int = 0) -> dict[str, SteeringVector | Recipe]:
    """What to put in a vector's place, to see that it is the vector that does it.

    Args:
        vector: one vector for all levels, or one computed for each.
        seed: of the controls.

    Returns:
        By name: "shuffled", "random" (of its norm), and of a vector computed for each level "another maze's".
    """
    if isinstance(vector, SteeringVector):
        return {"shuffled": vector.shuffled(seed), "random": vector.random(seed)}
    return {
        "shuffled": Shuffled(vector, seed),
        "random": Random(vector, seed),
        "another maze's": Another(vector, seed=seed),
    }


def donor(reference: Levels | tuple[int, int], level: Level, seed: int) -> Level:
    """One of the reference levels with other walls than a level's, by a hash of the seed and the level.

    Raises:
        ValueError: there is none.
    """
    levels = reference_levels(reference, level.mode)
    if levels.world != level.world:
        raise ValueError(f"the reference levels are {levels.mode}, the level at hand is {level.mode}")
    others = np.flatnonzero(((levels.grid == 1) != (level.grid == 1)).any(axis=(1, 2)))
    if not len(others):
        raise ValueError(f"all {len(levels)} reference levels have the walls of the level at hand; give others")
    return levels[int(others[keyed_seed(seed, level) % len(others)])]


def reference_levels(reference: Levels | tuple[int, int], mode: Mode) -> Levels:
    """The levels that a reference stands for.

    Args:
        reference: the levels themselves, or the first seed and one past the last.
        mode: the mode of levels given by seeds.

    Raises:
        ValueError: there are none, or a seed is out of range.
    """
    levels = reference if isinstance(reference, Levels) else _from_seeds(*reference, mode)
    if not len(levels):
        raise ValueError("there are no reference levels; (500000, 500128) are the seeds from 500000 to 500127")
    return levels


@lru_cache(maxsize=8)
def _from_seeds(first: int, end: int, mode: Mode) -> Levels:
    return Levels.from_seeds(range(first, end), mode)
