"""A policy whose channels are planted: each tells one known thing, so that its scores are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from mazeinterp.analysis.probing import cells_at
from mazeinterp.maze import Levels
from mazeinterp.policy import ImpalaPolicy, PolicyOutput

SIZE = 16

CHEESE_COLOUR = (0.5, 1.0, -1.5)
"""Of red, green and blue: nowhere larger than in the cheese, on eight of the nine backgrounds."""


@dataclass(frozen=True)
class Planted:
    """One layer, "maps", of 16 × 16 cells, and one, "features", without; a channel for each name.

    - cheese: 1 in the cheese's cell. -cheese: −1 there. beside: 1 two cells below it. mouse: 1 in the mouse's cell.
    - place: 1 in one cell, always the same. dead: 0 everywhere. noise: normal, drawn anew for each level and cheese.
    - bright: the level's background above 4, everywhere.

    It stays where it is on dark backgrounds and walks at random on bright ones.
    """

    channels: tuple[str, ...]
    seed: int = 0
    noise: float = 0.0
    layers: ClassVar[tuple[str, ...]] = ("maps", "features")
    name: ClassVar[str | None] = "planted"
    hash: ClassVar[str | None] = None

    def maps(self, levels: Levels) -> NDArray[np.float32]:
        n = len(levels)
        maps = np.zeros((n, len(self.channels), SIZE, SIZE))
        cheese, mouse = cells_at(levels.cheese, SIZE, levels.mode), cells_at(levels.mouse, SIZE, levels.mode)
        for c, channel in enumerate(self.channels):
            for i in range(n):
                rng = np.random.default_rng([self.seed, c, int(levels.seed[i]), *levels.cheese[i].tolist()])
                match channel:
                    case "cheese" | "-cheese":
                        maps[i, c, *cheese[i]] = 1 if channel == "cheese" else -1
                    case "beside":
                        maps[i, c, min(cheese[i, 0] + 2, SIZE - 1), cheese[i, 1]] = 1
                    case "mouse":
                        maps[i, c, *mouse[i]] = 1
                    case "place":
                        maps[i, c, 7, 7] = 1
                    case "noise":
                        maps[i, c] = rng.standard_normal((SIZE, SIZE))
                    case "bright":
                        maps[i, c] = levels.background[i] > 4
                maps[i, c] += self.noise * rng.standard_normal((SIZE, SIZE))
        return maps.astype(np.float32)

    def __call__(self, obs: Any, *, tap: Any = None, levels: Levels | None = None, rows: Any = None) -> PolicyOutput:
        assert levels is not None
        own = np.arange(len(obs)) if rows is None else np.asarray(rows)
        if tap is not None:
            maps = torch.from_numpy(self.maps(levels[own]))
            tap("maps", maps)
            tap("features", maps.mean(dim=(2, 3)))
        logits = torch.full((len(obs), 15), -60.0)
        dark = torch.from_numpy(levels.background[own] <= 4)
        logits[dark, 4] = 0.0
        logits[~dark, :4] = logits[~dark, 5:9] = 0.0
        return PolicyOutput(logits, torch.zeros(len(obs)))


def cheese_network(channel: int = 5, seed: int = 100) -> ImpalaPolicy:
    """An untrained network but for a channel of block 2 that passes on how much pixels have of the cheese's colour."""
    policy = ImpalaPolicy(1, seed=seed)
    embedder = policy.embedder
    with torch.no_grad():
        first = embedder.block1.conv
        first.weight[0] = 0
        first.weight[0, :, 1, 1] = torch.tensor(CHEESE_COLOUR)
        for block, own in ((embedder.block1, 0), (embedder.block2, channel)):
            for res in (block.res1, block.res2):
                res.conv1.weight[:, own] = 0  # nobody else reads it
                res.conv2.weight[own] = 0  # nothing is added to it
        embedder.block2.conv.weight[:, 0] = 0
        embedder.block2.conv.weight[channel] = 0
        embedder.block2.conv.weight[channel, 0, 1, 1] = 1
    return policy
