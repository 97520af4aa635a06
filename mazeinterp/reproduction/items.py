"""What an item of the reproduction is: a published figure or table, and how it is measured again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ..analysis.evaluation import held_out
from ..maze.levels import Levels
from ..policy.network import ImpalaPolicy
from .claims import Claim, Source


@dataclass(frozen=True)
class Sizes:
    """How much is measured: all that an item's numbers depend on beside the network and the seed.

    Attributes:
        levels: levels 0, 1, …; some 60 in 100 have a decision square in a maze of side 7 or more, and count.
        exact_levels: of those, how many have exact outcomes.
        training_levels: held-out levels of the network's training distribution.
        swept_levels: levels of the sweeps, from 0.
        coefficients: what the vectors are multiplied by.
        sources: mazes whose cheese vectors are tried in others.
        reach: cells that a vector is moved each way.
        averaged: how many mazes a mean vector is of.
        family_levels: levels on which the networks of the family are compared exactly.
        field_levels: levels whose whole vector fields are compared.
        probing_levels: levels that channels are found on, and as many that they are reported on.
        channel_levels: levels in which channels are ablated and clamped.
        scrubbing_levels: levels in which channels are resampled; the fifth of them with mazes of side 3 or 5, which
            repeat, does not count.
        random_sets: random sets of channels that the found one is compared with.
        targets: squares of each level that channels are clamped at.
        behaviour_levels: levels of the regressions; about half of them have a decision square and count.
        pair_levels: levels that minimal pairs are made from.
        pairs: minimal pairs of each kind.
        value_levels: levels in which policy and value are compared.
    """

    levels: int
    exact_levels: int
    training_levels: int
    swept_levels: int
    coefficients: tuple[float, ...]
    sources: int
    reach: int
    averaged: tuple[int, ...]
    family_levels: int
    field_levels: int
    probing_levels: int
    channel_levels: int
    scrubbing_levels: int
    random_sets: int
    targets: int
    behaviour_levels: int
    pair_levels: int
    pairs: int
    value_levels: int


FULL = Sizes(
    levels=1000,
    exact_levels=100,
    training_levels=100,
    swept_levels=1000,
    coefficients=(-5.0, -3.0, -2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0),
    sources=100,
    reach=3,
    averaged=(1, 4, 16, 32, 64, 128, 256),
    family_levels=200,
    field_levels=100,
    probing_levels=256,
    channel_levels=120,
    scrubbing_levels=140,
    random_sets=1000,
    targets=12,
    behaviour_levels=10_000,
    pair_levels=10_000,
    pairs=200,
    value_levels=200,
)
"""For publishing."""

QUICK = Sizes(
    levels=200,
    exact_levels=24,
    training_levels=20,
    swept_levels=100,
    coefficients=(-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0),
    sources=30,
    reach=2,
    averaged=(1, 32, 128),
    family_levels=50,
    field_levels=30,
    probing_levels=64,
    channel_levels=24,
    scrubbing_levels=24,
    random_sets=100,
    targets=6,
    behaviour_levels=1500,
    pair_levels=2000,
    pairs=40,
    value_levels=30,
)
"""For a first look, while the coffee brews: all items of a network of width 1 on two cores in a few minutes."""


@dataclass(frozen=True)
class Settings:
    """How items are measured.

    Attributes:
        sizes: how much is measured.
        seed: of controls, sampled episodes and resampling.
        workers: processes; results do not depend on their number.
        cache: where experiments are kept, so that items share them and a killed run loses little; None keeps nothing.
    """

    sizes: Sizes = FULL
    seed: int = 0
    workers: int = 1
    cache: Path | None = None

    def levels(self) -> Levels:
        """The levels of the headline tables: procgen's own, seeds from 0."""
        return held_out(self.sizes.levels)

    def swept_levels(self) -> Levels:
        """The levels of the sweeps: likewise."""
        return held_out(self.sizes.swept_levels)


@dataclass(frozen=True)
class Result:
    """An item, measured.

    Attributes:
        table: the data, in long form.
        figure: the picture of it.
        claims: what was published beside what was measured.
        notes: what a reader must know of this run: what was left out, and why.
    """

    table: pd.DataFrame
    figure: Figure
    claims: tuple[Claim, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Item:
    """A published figure or table.

    Attributes:
        name: what the command line calls it.
        title: what the report calls it.
        published: what was published, in a sentence or two.
        sources: where.
        measure: measures it for a network.
        needs: further inputs that the result depends on, for a network: hashes of other networks, for instance.
    """

    name: str
    title: str
    published: str
    sources: tuple[Source, ...]
    measure: Callable[[ImpalaPolicy, Settings], Result]
    needs: Callable[[ImpalaPolicy], tuple[str, ...]] = lambda policy: ()
