"""Policy and value against plain loops over squares, on tables whose numbers are random or written down."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import corridor, sharp_network
from numpy.typing import NDArray
from support import steps_to

from mazeinterp.analysis import PolicyTable, tabulate, wilson
from mazeinterp.analysis.values import (
    PLACES,
    agreement_by_distance,
    policy_and_value,
    policy_and_value_tables,
    summarise_agreement,
    summarise_value_change,
    value_change,
    value_change_tables,
)
from mazeinterp.edits import Add, Cheese, edited
from mazeinterp.maze import MOVES, Level, Levels
from mazeinterp.maze.paths import decision_square

STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1)}


def random_table(levels: Levels, seed: int) -> PolicyTable:
    """A table of both facings, moves and values drawn at random."""
    rng = np.random.default_rng(seed)
    table = PolicyTable.from_moves(levels, np.full((*levels.grid.shape, 5), 0.2))
    moves = rng.dirichlet(np.ones(5), table.moves.shape[:2]).astype(np.float32)
    return replace(table, moves=moves, value=rng.normal(size=moves.shape[:2]).astype(np.float32))


def easy(n: int, side: int = 15) -> Levels:
    levels = Levels.from_seeds(range(20 * n), "easy")
    return levels[levels.maze_dim <= side][:n]


def facing_after(move: str, reflected: bool) -> bool:
    return {"left": False, "right": True}.get(move, reflected)


def test_comparisons_are_those_of_plain_loops() -> None:
    levels = easy(6)
    table = random_table(levels, 0)
    result = policy_and_value_tables(replace(table, first=10)).set_index(["level", "x", "y", "reflected"])
    seen = 0
    for i, level in enumerate(levels):
        decision = decision_square(level)
        high = level.margin + level.maze_dim - 1  # type: ignore[operator]
        away = {"cheese": steps_to(level, level.cheese), "corner": steps_to(level, (high, high))}  # type: ignore[arg-type]

        def goal(x: int, y: int, move: str, away: dict[str, NDArray[np.float64]] = away) -> str:
            dx, dy = STEPS.get(move, (0, 0))
            led = [name for name, steps in away.items() if steps[y + dy, x + dx] == steps[y, x] - 1]
            return {0: "neither", 2: "both"}.get(len(led), led[0] if led else "")

        for reflected in (False, True):
            moves = table.grid(i, reflected)
            values = {facing: table.values(i, facing) for facing in (False, True)}
            for y, x in np.argwhere(level.grid == 0).tolist():
                reached = {
                    move: values[facing_after(move, reflected)][y + dy, x + dx]
                    for move, (dx, dy) in STEPS.items()
                    if level.grid[y + dy, x + dx] == 0
                }
                beside = any(level.grid[y + dy, x + dx] == 2 for dx, dy in STEPS.values())
                if beside or len(reached) < 2:
                    assert (10 + i, x, y, reflected) not in result.index
                    continue
                seen += 1
                row = result.loc[(10 + i, x, y, reflected)]
                move, best = MOVES[int(moves[y, x].argmax())], max(reached, key=lambda name: reached[name])
                assert (row["move"], row["value_move"], row["ways"]) == (move, best, len(reached))
                assert row["agree"] == (move == best)
                assert row["chance"] == pytest.approx(1 / len(reached))
                assert row["p_value_move"] == pytest.approx(moves[y, x, MOVES.index(best)])
                assert row["decision"] == (decision is not None and decision.square == (x, y))
                assert (row["policy_goal"], row["value_goal"]) == (goal(x, y, move), goal(x, y, best))
                assert (row["steps_to_cheese"], row["steps_to_corner"]) == tuple(steps[y, x] for steps in away.values())
    assert seen == len(result) > 100


def test_facing_after_the_move_decides() -> None:
    """In a corridor, the square on the right is valued only by a mouse that faces right, as it does coming there."""
    level = corridor("M.......")
    table = PolicyTable.from_moves(level, np.full((1, 15, 15, 5), 0.2))
    facing_right = np.zeros_like(table.value)
    facing_right[:, 1] = 1.0
    result = policy_and_value_tables(replace(table, value=facing_right))
    assert set(result["value_move"]) == {"right"}
    assert set(policy_and_value_tables(replace(table, value=1 - facing_right))["value_move"]) == {"left"}
    assert len(result) == 2 * 6  # ends have one way


def written_mouse(level: Level, goal: tuple[int, int], valued: tuple[int, int]) -> PolicyTable:
    """A mouse that walks to one square and values being near another."""
    away, worth = steps_to(level, goal), steps_to(level, valued)
    moves = np.zeros((1, level.world, level.world, 5))
    moves[..., 4] = 1
    for y, x in np.argwhere(level.grid != 1).tolist():
        for m, (dx, dy) in enumerate(STEPS.values()):
            if away[y + dy, x + dx] == away[y, x] - 1:
                moves[0, y, x] = np.eye(5)[m]
    table = PolicyTable.from_moves(level, moves)
    x, y = table.square.T
    return replace(table, value=np.repeat(-worth[y, x][:, None], 2, axis=1).astype(np.float32))


def test_heads_that_want_the_same_agree_and_others_part_at_decision_squares() -> None:
    levels = [level for level in Levels.from_seeds(range(100)) if (level.maze_dim or 0) in (9, 11)]
    one, split = [], []
    for i, level in enumerate(levels):
        high = level.margin + (level.maze_dim or 0) - 1
        cheese, corner = level.cheese, (high, high)
        assert cheese is not None
        one.append(replace(written_mouse(level, cheese, cheese), first=i))
        split.append(replace(written_mouse(level, corner, cheese), first=i))
    agreed = policy_and_value_tables(one)
    assert agreed["agree"].all()
    parted = policy_and_value_tables(split)
    at_decision = parted[parted["decision"]]
    assert len(at_decision) >= 8
    assert not at_decision["agree"].any()
    assert set(at_decision["value_goal"]) == {"cheese"}
    assert set(at_decision["policy_goal"]) == {"corner"}
    table = summarise_agreement(parted).set_index("place")
    n = int((at_decision["reflected"]).sum())
    assert tuple(table.loc["decision square", ["estimate", "low", "high", "n"]]) == pytest.approx(wilson(0, n))
    everywhere = parted["agree"].mean()
    assert table.loc["everywhere", "estimate"] == pytest.approx(everywhere)
    assert table.loc["everywhere", "states"] == len(parted)
    assert table.loc["everywhere", "low"] < everywhere < table.loc["everywhere", "high"]
    assert table.loc["junctions", "chance"] <= 1 / 3 + 1e-12
    both = pd.concat([agreed.assign(who="one"), parted.assign(who="split")])
    assert summarise_agreement(both, ["who"]).groupby("who")["estimate"].max().to_dict()["one"] == 1
    ranges = agreement_by_distance(parted, bins=(1, 4, 8, 30))
    assert ranges["states"].sum() == parted["steps_to_cheese"].between(1, 29).sum()
    assert (ranges["estimate"] < 1).all()
    with pytest.raises(ValueError, match="column is 'seed'"):
        agreement_by_distance(parted, "seed")
    with pytest.raises(ValueError, match="from_dim=0 counts all"):
        summarise_agreement(parted, from_dim=13)


def test_changes_of_value_are_those_of_plain_loops() -> None:
    levels = easy(8)
    before, after = random_table(levels, 1), random_table(levels, 2)
    result = value_change_tables(before, after).set_index(["level", "place"])
    for i, level in enumerate(levels):
        decision = decision_square(level)
        for name, table in (("before", before), ("after", after)):
            seen = {facing: table.values(i, facing) for facing in (False, True)}
            x, y = level.mouse
            expected = {"start": seen[False][y, x], "everywhere": np.nanmean([seen[False], seen[True]])}
            if decision is not None:
                x, y = decision.square
                expected["decision square"] = seen[False][y, x]
                for branch, move in (("cheese", decision.cheese_move), ("corner", decision.corner_move)):
                    dx, dy = STEPS[MOVES[move]]
                    facing = facing_after(MOVES[move], False)
                    if level.grid[y + dy, x + dx] == 0:
                        expected[f"{branch} branch"] = seen[facing][y + dy, x + dx]
                if "cheese branch" in expected:
                    expected["branches"] = expected["cheese branch"] - expected["corner branch"]
            assert result.loc[i, name].to_dict() == pytest.approx(expected, rel=1e-5)
    assert set(result.index.get_level_values("place")) == set(PLACES)
    table = summarise_value_change(result.reset_index(), from_dim=0).set_index("place")
    difference = (result["after"] - result["before"]).groupby("place").mean()
    for place in PLACES:
        assert table.loc[place, "difference"] == pytest.approx(difference[place])
    assert table.loc["start", "n"] == len(levels)
    assert (table["p_holm"] >= table["p_value"]).all()


def test_networks_are_tabulated_and_kept(tmp_path: Path) -> None:
    policy, levels = sharp_network(), easy(3, 7)
    blind = edited(policy, Add(Cheese(), -1.0))
    compared = policy_and_value(policy, levels, folder=tmp_path)
    pd.testing.assert_frame_equal(compared, policy_and_value_tables(tabulate(policy, levels)))
    changed = value_change(policy, blind, levels, folder=tmp_path)
    tables = (tabulate(who, levels) for who in (policy, blind))
    pd.testing.assert_frame_equal(changed, value_change_tables(*tables))
    assert (changed["before"] != changed["after"]).any()
    files = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.parquet")}
    assert len(files) == 2
    pd.testing.assert_frame_equal(policy_and_value(policy, levels, folder=tmp_path), compared)
    assert files == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.parquet")}


def test_tables_that_will_not_do_are_refused() -> None:
    levels = easy(2, 7)
    table = random_table(levels, 0)
    with pytest.raises(ValueError, match="no values"):
        policy_and_value_tables(PolicyTable.from_moves(levels, np.full((*levels.grid.shape, 5), 0.2)))
    with pytest.raises(ValueError, match="facings"):
        policy_and_value_tables(replace(table, facings=(False,), moves=table.moves[:, :1], value=table.value[:, :1]))
    with pytest.raises(ValueError, match="no tables"):
        policy_and_value_tables([])
    with pytest.raises(ValueError, match="different levels"):
        value_change_tables(table, random_table(easy(5, 7)[3:], 0))
