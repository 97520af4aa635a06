"""What the tests of both trainers share: small mazes to learn in, runs that are killed, and how runs are compared."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mazeinterp.maze import Levels
from mazeinterp.maze.environment import MazeVectorEnv
from mazeinterp.training import imitation, runs

CLOCK = {"seconds", "environment_seconds", "forward_seconds", "update_seconds", "steps_per_second"}  # columns

KILLED = """
import json, os, signal, sys
from pathlib import Path

import torch

from mazeinterp.training import imitation, ppo, runs

trainers = {"imitation": (imitation.imitate, imitation.ImitationConfig), "ppo": (ppo.train_ppo, ppo.PPOConfig)}
updates = 0

def save_due(run):
    global updates
    updates += 1
    if updates == 5:  # in the midst of the second save: written, but not in its place
        Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    return updates in (3, 5)

torch.set_num_threads(1)
runs.Run.save_due = property(save_due)
imitation.LOG_EVERY = 2
train, config = trainers[sys.argv[1]]
train(config(**json.loads(sys.argv[3])), sys.argv[2])
"""


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order that a killed run has them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def kill_midway(trainer: str, config: Any, folder: Path) -> None:
    """Trains in a process of its own, which saves after three updates and dies while it saves after five."""
    arguments = [trainer, str(folder), json.dumps(asdict(config))]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    files = {path.name for path in folder.iterdir()}
    assert {"state.pt", "state.pt.tmp"} <= files
    assert "model.safetensors" not in files


def curves(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's log, without what the clock says."""
    with (folder / "log.csv").open(newline="") as file:
        return [{name: cell for name, cell in row.items() if name not in CLOCK} for row in csv.DictReader(file)]


def weight_files(folder: Path) -> dict[str, bytes]:
    """The weights that a run keeps, its snapshots' too, by their paths within its folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


def small_seeds(first: int, largest: int, count: int = 10_000) -> NDArray[np.int64]:
    """Of the level seeds from `first` on, those of easy mazes up to a size, on one background: soon learnt."""
    seeds = np.arange(first, first + count)
    levels = Levels.from_seeds(seeds, "easy")
    return seeds[(levels.maze_dim <= largest) & (levels.background == 0)]


def train_on(seeds: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the trainers draw their levels from these seeds alone, and those of the easy world."""

    class Few:
        @staticmethod
        def from_seeds(drawn: NDArray[np.int64], mode: str, cheese_region: int | None) -> Levels:
            return Levels.from_seeds(seeds[drawn % len(seeds)], "easy", cheese_region)

    def mazes(n: int, *, cheese_region: int | None, threads: int, **_: int) -> MazeVectorEnv:
        return MazeVectorEnv(n, levels=Levels.from_seeds(seeds, "easy", cheese_region), threads=threads)

    monkeypatch.setattr(imitation, "Levels", Few)
    monkeypatch.setattr(runs, "MazeVectorEnv", mazes)
