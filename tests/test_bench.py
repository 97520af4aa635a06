"""The benchmark of the analysis: it counts what it should, and writes down what it measures."""

import importlib
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mazeinterp.maze import Levels

SCRIPTS = Path(__file__).parents[1] / "scripts"


def test_the_analysis_benchmark_prints_a_table_and_saves_a_figure_with_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPTS)  # as a module, so that the benchmark's own processes find it
    bench = importlib.import_module("bench")
    monkeypatch.setattr(bench, "FORWARD_BATCHES", (64,))
    monkeypatch.setattr(bench, "GROWING", (2, 20, 70))
    bench.analysis(rounds=1, widths=(1,), levels=3, most=20)
    plt.close("all")

    data = pd.read_parquet(tmp_path / "out" / "bench_analysis.parquet")
    costs = data.dropna(subset="what").set_index("what")["value"]
    mazes = Levels.from_seeds(range(1000))
    assert costs["its states"] == 2 * (mazes.grid[mazes.maze_dim == 25][0] == 0).sum()
    assert costs["published tools' field, s (quoted)"] == 2.0
    assert costs["published tools' ÷ ours"] == pytest.approx(2.0 / costs["vector field of the same maze, s"])
    bare = costs["bare forwards of its states, s"]
    assert costs["table ÷ bare forwards"] == pytest.approx(costs["table of a 25 × 25 maze, s"] / bare)
    assert costs["at batches of"] == 64
    assert (costs > 0).all()

    grown = data.dropna(subset="levels").groupby("policy", sort=False)
    assert grown["levels"].apply(list).tolist() == [[2, 20], [2]]
    assert all(part["extra_bytes"].is_monotonic_increasing for _, part in grown)
    printed = capsys.readouterr().out
    assert all(what in printed for what in costs.index)
    record = json.loads((tmp_path / "out" / "bench_analysis.json").read_text())
    assert record["arguments"]["command"] == "scripts/bench.py analysis"
