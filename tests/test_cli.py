"""The command line: each command helps, does its job, and ends with a message and exit code 2 where it cannot."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mazeinterp.cli import COMMANDS, main
from mazeinterp.policy import load_policy

COMMAND = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs `mazeinterp WORDS` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["mazeinterp", *words])
        main()

    return call


@COMMAND
def test_each_command_helps(command: str, run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(command, "--help")
    assert end.value.code == 0
    summary = (COMMANDS[command].__doc__ or "").split()[:4]
    assert " ".join(summary) in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate", "rand_region"), "nearest names: rand_region_5"),
        (("evaluate", "--levels", "-5"), "n is -5"),
        (("train", "t", "imitation", "--samples", "10"), "samples is 10"),
        (("train", "t", "ppo", "--init-from", "nothing", "--steps", "1"), "'nothing'"),
    ],
)
def test_bad_input_is_told_without_a_traceback(words, message, run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(*words)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_train_makes_a_loadable_network_and_goes_on(run, tmp_path: Path) -> None:
    words = ("train", "tiny", "imitation", "--samples", "512", "--batch", "64", "--walkers", "64")
    run(*words)
    first = load_policy(tmp_path / "runs" / "tiny")
    assert first.recipe["samples"] == 512
    run(*words)  # it is finished already
    assert load_policy(tmp_path / "runs" / "tiny").hash == first.hash


def test_evaluate_writes_a_table_and_a_figure(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("evaluate", "rand_region_5", "--levels", "30", "--exact-levels", "3")
    summary = pd.read_parquet(tmp_path / "out" / "evaluation_rand_region_5.parquet")
    assert {"rand_region_5", "random walk", "shortest path"} == set(summary["policy"])
    assert set(summary["levels"]) == {"as in training", "cheese anywhere"}
    record = json.loads((tmp_path / "out" / "evaluation_rand_region_5.json").read_text())
    assert record["arguments"]["hash"] == load_policy("rand_region_5").hash
    assert (tmp_path / "out" / "evaluation_rand_region_5.png").stat().st_size > 10_000
    assert "| as in training" in capsys.readouterr().out


def test_policies_and_edits_are_listed(run, capsys: pytest.CaptureFixture[str]) -> None:
    run("policies")
    run("edits")
    listed = capsys.readouterr().out
    assert "rand_region_5: width 1" in listed
    for name in ("add:", "clamp:", "zero:", "cheese:", "top_right:"):
        assert f"\n  {name} " in listed
