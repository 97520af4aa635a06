"""The scripts: each runs, prints a table, and saves pictures with the data that they show."""

import runpy
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mazeinterp.policy import ImpalaPolicy, save_policy


@pytest.mark.parametrize(
    ("script", "options", "made"),
    [
        ("vector_field", {"level": 3, "edit": ("add(cheese, -1.0)", "zero(channel=2)")}, {"vector_field_fresh_3": 32}),
        ("rollouts", {"levels": 3, "episodes": 2, "video_level": 1}, {"rollouts_fresh": 9}),
        ("cheese_vector", {"levels": 9}, {"cheese_vector_fresh": 63, "cheese_vector_dose_fresh": 108}),
        ("top_right_vector", {"levels": 9}, {"top_right_vector_fresh": 63, "top_right_vector_dose_fresh": 108}),
    ],
)
def test_scripts_print_a_table_and_save_pictures_with_their_data(
    script: str, options: dict[str, Any], made: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_policy(ImpalaPolicy(seed=0), tmp_path / "fresh", {})
    main = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / f"{script}.py"))["main"]
    main(policy=str(tmp_path / "fresh"), out=tmp_path / "out", **options)
    plt.close("all")
    printed = capsys.readouterr().out
    assert printed.startswith("|")
    pictures = {file.stem for file in (tmp_path / "out").glob("*.png")}
    assert pictures == set(made)
    for name, rows in made.items():
        assert f"{name}.png" in printed
        assert len(pd.read_parquet(tmp_path / "out" / f"{name}.parquet")) == rows
        assert "fresh" in (tmp_path / "out" / f"{name}.json").read_text()
    assert (tmp_path / "out" / "rollouts_fresh_1.gif").exists() == (script == "rollouts")


def test_the_custom_edit_is_used_by_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["custom_edit.py", "dampen(channel=3, factor=0.25)"])
    runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "custom_edit.py"))
    assert capsys.readouterr().out.startswith("rand_region_5 + dampen(channel=3, factor=0.25) left, right, up, down")


def test_two_networks_are_compared_on_the_same_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_policy(ImpalaPolicy(seed=0), tmp_path / "fresh", {})
    main = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "compare_success.py"))["main"]
    monkeypatch.chdir(tmp_path)
    main("rand_region_5", str(tmp_path / "fresh"), levels=40)
    plt.close("all")
    assert "| all mazes" in capsys.readouterr().out
    table = pd.read_parquet(tmp_path / "out" / "success_rand_region_5_and_fresh.parquet").set_index("mazes")
    assert table.loc["all mazes", "n"] == 40
    assert table.loc["all mazes", "difference"] > 0.5  # an untrained mouse walks at random
    assert table.loc["all mazes", "low"] <= table.loc["all mazes", "difference"] <= table.loc["all mazes", "high"]
