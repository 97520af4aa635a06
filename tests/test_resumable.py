"""Long work in chunks: a kill loses nothing and nothing is run twice, and other work is not taken for the same."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from test_experiments import LAYER, linear, with_decision

from mazeinterp.analysis import Condition, fingerprint, run_experiment
from mazeinterp.edits import Add, Cheese, cheese_vector, edited
from mazeinterp.maze import Levels
from mazeinterp.policy import ImpalaPolicy, PolicyOutput


@dataclass(frozen=True)
class Logged:
    """Answers by position, writes a byte for each call to a file, and hangs for ever at one call."""

    log: str
    shift: int
    hang_at: int | None = field(default=None, compare=False)

    def __call__(self, obs: np.ndarray, *, levels: Levels, rows: np.ndarray) -> PolicyOutput:
        with Path(self.log).open("ab") as file:
            file.write(b".")
        while self.calls == self.hang_at:
            time.sleep(0.01)
        logits = torch.tensor(obs.mean(axis=(1, 2, 3))[:, None] * np.arange(15) % (7 + self.shift))
        return PolicyOutput(logits, logits[:, 0])

    @property
    def calls(self) -> int:
        return Path(self.log).stat().st_size


def logged_run(folder: str, hang_at: int | None = None) -> pd.DataFrame:
    """Three chunks of two conditions, one call each."""
    levels = with_decision(48)
    conditions = {name: Condition(Logged(f"{folder}/log", i, hang_at)) for i, name in enumerate(("unedited", "other"))}
    return run_experiment(conditions, levels, exact_levels=0, folder=f"{folder}/kept")


def test_a_kill_loses_nothing_and_nothing_is_run_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"import test_resumable; test_resumable.logged_run({str(tmp_path)!r}, hang_at=4)"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent)
    while child.poll() is None and not (log.exists() and log.stat().st_size == 4):
        time.sleep(0.01)
    assert child.poll() is None
    child.kill()
    child.wait()
    (parts,) = (tmp_path / "kept").iterdir()
    assert [file.name for file in parts.iterdir() if file.suffix] == ["000000.parquet"]
    resumed = logged_run(str(tmp_path))
    assert log.stat().st_size == 4 + 4  # the second chunk again, of which half was done, and the third
    assert [file.suffix for file in (tmp_path / "kept").iterdir()] == [".parquet"]
    again = logged_run(str(tmp_path))
    assert log.stat().st_size == 8
    (tmp_path / "afresh").mkdir()
    afresh = logged_run(str(tmp_path / "afresh"))
    for frame in (resumed, again):
        pd.testing.assert_frame_equal(frame, afresh, check_exact=True)


def test_a_fingerprint_knows_all_that_numbers_depend_on() -> None:
    levels = Levels.from_seeds(range(3), "easy")
    policy, other = linear(), linear(1)
    vector = cheese_vector(policy, levels[0], LAYER)
    same = [policy, edited(policy, Add(vector, 1.0)), levels, 1, "a", {"b": (1.0, None)}]
    assert fingerprint(same) == fingerprint([linear(), edited(linear(), Add(vector, 1.0)), *same[2:]])
    different: list[object] = [
        policy,
        other,
        edited(policy),
        edited(policy, Add(vector, 1.0)),
        edited(policy, Add(vector, 2.0)),
        edited(policy, Add(vector * 2, 1.0)),
        edited(other, Add(vector, 1.0)),
        edited(policy, Add(Cheese(), 1.0, LAYER)),
        edited(policy, Add(Cheese(), 1.0, LAYER), seed=1),
        Condition(policy),
        Condition(policy, sees_cheese=False),
        levels,
        levels[:2],
        levels.without_cheese(),
        1,
        1.0,
        True,
        "1",
        (1, (2,)),
        ((1, 2),),
        np.float32(1),
        np.zeros(2),
        np.zeros(2, np.float32),
        torch.zeros(2, dtype=torch.bfloat16),
        linear,
        with_decision,
    ]
    assert len({fingerprint(value) for value in different}) == len(different)
    coarse = ImpalaPolicy()
    coarse.precision = "bfloat16"
    assert fingerprint(coarse) != fingerprint(ImpalaPolicy())
