"""What every training run needs: a folder that survives a kill, a log, snapshots, and weights at the end.

A run's folder holds `run.json` (what was asked), `state.pt` (all that is needed to go on), `log.csv` (curves; a
TensorBoard copy in `tensorboard/`), `history/` (snapshots, evenly spaced in log-steps) and at the end
`model.safetensors`. A run that is started again in its folder goes on from its last state, and ends in the same
weights as one that was never stopped.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ..maze.environment import MazeVectorEnv, State
from ..maze.worlds import SEEDS
from ..policy.checkpoints import load_policy, save_policy
from ..policy.network import ImpalaPolicy

if TYPE_CHECKING:
    from .imitation import ImitationConfig
    from .ppo import PPOConfig

TRAINING_SEEDS = (1_000_000, SEEDS - 1)
"""Level seeds that training draws from, upper end excluded; those below are held out."""

SNAPSHOTS = 10
SAVE_EVERY = 120.0
"""Seconds between two states of a run: what a kill can cost."""

_FIRST_SNAPSHOT = 1 / 1000  # of the run


class Run:
    """One training run in its folder.

    Args:
        folder: the run's folder, made if need be.
        config: the run's configuration, a dataclass; a folder that holds another one is refused.
        total: the run's length, in whatever unit `step` counts.

    Raises:
        ValueError: if the folder holds a run with another configuration.
    """

    def __init__(self, folder: Path, config: Any, total: int) -> None:
        self.folder, self.total = folder, total
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {"recipe": type(config).__name__, **dataclasses.asdict(config)}
        recorded = folder / "run.json"
        if recorded.exists():
            found = json.loads(recorded.read_text())
            other = sorted(key for key in wanted | found if wanted.get(key) != found.get(key))
            if other:
                changes = ", ".join(f"{key} ({found.get(key)!r} there, {wanted.get(key)!r} here)" for key in other)
                raise ValueError(f"{folder} holds a run that differs in {changes}; choose another folder, or delete it")
        else:
            with _written_whole(recorded) as temporary:
                temporary.write_text(json.dumps(wanted, indent=2) + "\n")
        self.recipe = wanted
        self._rows: list[dict[str, float]] = []
        self._seconds_before, self._started = 0.0, time.monotonic()
        self._saved_at = 0.0
        self._tensorboard: SummaryWriter | None = None

    @property
    def seconds(self) -> float:
        """Time that the run has taken so far, all its starts together."""
        return self._seconds_before + time.monotonic() - self._started

    @property
    def save_due(self) -> bool:
        """Whether the last state is so old that the next should be saved."""
        return self.seconds - self._saved_at > SAVE_EVERY

    def resume(self) -> dict[str, Any] | None:
        """The state that was saved last, its tensors on the CPU; None in a new run."""
        path = self.folder / "state.pt"
        if not path.exists():
            return None
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self._seconds_before, self._started = saved["seconds"], time.monotonic()
        self._saved_at = self._seconds_before
        self._rows = saved["rows"]
        return saved["state"]

    def save(self, state: dict[str, Any]) -> None:
        """Saves all that is needed to go on: tensors, numbers, strings and containers of them."""
        content = {"state": state, "seconds": self.seconds, "rows": self._rows}
        with _written_whole(self.folder / "state.pt") as temporary:
            torch.save(content, temporary)
        self._saved_at = self.seconds
        self._write_log()

    def log(self, step: int, values: dict[str, float]) -> None:
        """Adds a row to the curves."""
        self._rows.append({"step": step, "seconds": round(self.seconds, 1), **values})
        if self._tensorboard is None:
            self._tensorboard = SummaryWriter(str(self.folder / "tensorboard"), purge_step=step)
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def snapshot(self, policy: ImpalaPolicy, before: int, step: int) -> None:
        """Keeps the weights if a snapshot is due between two steps: ten in a run, evenly spaced in log-steps."""
        due = np.geomspace(self.total * _FIRST_SNAPSHOT, self.total, SNAPSHOTS).round()
        if ((before < due) & (due <= step)).any():
            save_policy(policy, self.folder / "history" / f"{step:09d}", {**self.recipe, "step": step})

    def close(self, policy: ImpalaPolicy, step: int) -> None:
        """Ends this start of the run: at the run's end, with the trained weights."""
        self._write_log()
        if self._tensorboard is not None:
            self._tensorboard.close()
        if step >= self.total:
            save_policy(policy, self.folder, {**self.recipe, "step": step, "seconds": round(self.seconds)})

    def _write_log(self) -> None:
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        with _written_whole(self.folder / "log.csv") as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self._rows)


def initial_policy(config: ImitationConfig | PPOConfig, return_scale: float) -> ImpalaPolicy:
    """The policy that a run begins with: a fresh one, or that of the checkpoint `init_from`.

    Args:
        config: the run's configuration.
        return_scale: a fresh policy's; a checkpoint keeps its own.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if its width is not the configured one.
    """
    if config.init_from is None:
        policy = ImpalaPolicy(config.width, return_scale=return_scale, seed=config.seed)
    else:
        policy = load_policy(config.init_from)
        if policy.width != config.width:
            raise ValueError(
                f"init_from {config.init_from!r} has width {policy.width}, the run has width {config.width}; "
                "give the checkpoint's"
            )
        policy.name = policy.hash = None  # it will not be that checkpoint for long
    policy.precision = config.precision
    return policy.train()


def training_mazes(n: int, cheese_region: int | None, seed: int, group: int, threads: int = 1) -> MazeVectorEnv:
    """Mazes to train in, at the start of their first levels, never held-out ones.

    Args:
        n: number of mazes.
        cheese_region: as in `Levels.from_seeds`.
        seed: the run's.
        group: number of this group of mazes within the run; each has levels of its own.
        threads: as in `MazeVectorEnv`.
    """
    low, high = TRAINING_SEEDS
    mazes = MazeVectorEnv(
        n,
        num_levels=high - low,
        start_level=low,
        rand_seed=(seed * 1_000_003 + group) % SEEDS,
        cheese_region=cheese_region,
        threads=threads,
    )
    mazes.reset()
    return mazes


def maze_state(mazes: MazeVectorEnv) -> list[Tensor]:
    """All that mazes are, in a form that a run's state can hold."""
    return [torch.from_numpy(array) for array in mazes.get_state()]


def restore_mazes(mazes: MazeVectorEnv, state: list[Tensor]) -> None:
    """Puts mazes back into a `maze_state`."""
    mazes.set_state(State(*(tensor.numpy() for tensor in state)))


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """A temporary path whose file takes the place of `path` once it is written and on disk, or else is removed."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
