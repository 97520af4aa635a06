"""The command `mazeinterp train`: its flags are the fields of the two configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from .imitation import ImitationConfig, imitate
from .ppo import PPOConfig, train_ppo

Recipe = (
    Annotated[ImitationConfig, tyro.conf.subcommand("imitation", prefix_name=False)]
    | Annotated[PPOConfig, tyro.conf.subcommand("ppo", prefix_name=False)]
    | Annotated[PPOConfig, tyro.conf.subcommand("published", default=PPOConfig.published(), prefix_name=False)]
)


def train(
    name: Annotated[str, tyro.conf.Positional],
    recipe: Annotated[Recipe, tyro.conf.arg(name="")],
    runs: Path = Path("runs"),
) -> None:
    """Trains a network; started again under the same name, it goes on from where it was stopped.

    Args:
        name: the run's name: its folder within `runs`, which holds the weights at the end.
        recipe: imitation of the shortest path, PPO, or PPO exactly as published.
        runs: folder of all runs.
    """
    if isinstance(recipe, ImitationConfig):
        imitate(recipe, runs / name)
    else:
        train_ppo(recipe, runs / name)
    print(f"Weights, curves and snapshots: {runs / name}")
