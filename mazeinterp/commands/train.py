"""`mazeinterp train`: its flags are the fields of the two configurations, so this file needs torch to be read."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg, subcommand

from ..policy.checkpoints import load_policy
from ..training.imitation import ImitationConfig, imitate
from ..training.ppo import PPOConfig, train_ppo
from ..training.runs import initial_policy
from .options import Format, Out
from .report import Report

Recipe = (
    Annotated[ImitationConfig, subcommand("imitation", prefix_name=False)]
    | Annotated[PPOConfig, subcommand("ppo", prefix_name=False)]
    | Annotated[PPOConfig, subcommand("published", default=PPOConfig.published(), prefix_name=False)]
)


def train(
    name: Annotated[str, Positional, arg(metavar="NAME", help="the run's name: its folder within --out")],
    recipe: Annotated[Recipe, arg(name="", help="imitation of the shortest path, PPO, or PPO exactly as published")],
    out: Out = Path("runs"),
    format: Format = "table",
) -> None:
    """Trains a network; started again under the same name, it goes on from where it was stopped.

    The folder `runs/NAME` holds weights at the end, curves (log.csv), and snapshots on the way (history).

    For example:

        mazeinterp train mine imitation --cheese-region 10 --samples 1000000
    """
    with Report("train", format, out, name=name, recipe=asdict(recipe)) as report:
        import pandas as pd

        folder = out / name
        initial_policy(recipe, 1.0)  # what cannot be begun with is told before there is a folder
        if isinstance(recipe, ImitationConfig):
            imitate(recipe, folder)
        else:
            train_ppo(recipe, folder)
        trained = load_policy(folder)
        row = {"name": name, "width": trained.width, "hash": trained.hash}
        report.table("network", pd.DataFrame([row | {part: trained.recipe[part] for part in ("step", "seconds")}]))
        report.file(folder)
