"""Minimal pairs against scipy's paths: what differs, what is equal; and what measuring them finds in a known mouse."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made import sharp_network
from test_behaviour import RuleMouse, reference_features

from mazeinterp.analysis import decide, exact_outcomes, tabulate
from mazeinterp.analysis.behaviour import FEATURES
from mazeinterp.analysis.minimal_pairs import KINDS, MinimalPairs, compare_pairs, make_pairs, measure_pairs
from mazeinterp.maze import Level, Levels, generate
from mazeinterp.maze.paths import decision_square

N = 8


@pytest.fixture(scope="module")
def made() -> dict[str, MinimalPairs]:
    """A few pairs of every kind."""
    levels = Levels.from_seeds(range(800))
    return {kind: make_pairs(kind, N, levels, seed=1) for kind in KINDS}


def is_maze(level: Level) -> bool:
    """Whether the open squares are a tree: counted by hand, reached by a walk."""
    squares = {(x, y) for y, x in np.argwhere(level.grid != 1).tolist()}
    edges = sum((x + 1, y) in squares for x, y in squares) + sum((x, y + 1) in squares for x, y in squares)
    reached, waiting = {level.mouse}, [level.mouse]
    while waiting:
        x, y = waiting.pop()
        for square in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            if square in squares - reached:
                reached.add(square)
                waiting.append(square)
    return reached == squares and edges == len(squares) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_differs_in_what_it_says_and_in_nothing_else(kind: str, made: dict[str, MinimalPairs]) -> None:
    pairs, expected = made[kind], KINDS[kind]
    frame = pairs.frame()
    assert len(pairs) == len(frame) == N
    for i, (near, far) in enumerate(zip(pairs.near, pairs.far, strict=True)):
        assert is_maze(near)
        assert is_maze(far)
        assert near.maze_dim == far.maze_dim >= 7  # type: ignore[operator]
        assert near.mouse == far.mouse == (near.margin, near.margin)
        assert (near.background, near.reflected, near.seed) == (far.background, far.reflected, far.seed)
        decisions = [decision_square(level) for level in (near, far)]
        assert decisions[0] is not None
        assert decisions[0] == decisions[1]  # square and both moves
        one, other = reference_features(near), reference_features(far)
        assert one is not None
        assert other is not None
        assert one["euclid_cheese_5x5"] > 0
        for name in FEATURES:
            if name == expected.varies:
                assert other[name] - one[name] >= expected.least
                assert (frame["near_distance"][i], frame["far_distance"][i]) == pytest.approx((one[name], other[name]))
            elif name not in expected.tied:
                assert one[name] == pytest.approx(other[name]), name
        changed = np.argwhere((near.grid == 1) != (far.grid == 1))
        if expected.rerouted is None:
            assert len(changed) == 0
            assert near.cheese != far.cheese
        else:
            assert near.cheese == far.cheese
            assert len(changed) == 2
            assert near.grid[tuple(changed[0])] != near.grid[tuple(changed[1])]  # one opens, one closes


def test_what_varies_is_tied_to_what_geometry_ties_it_to() -> None:
    for kind in KINDS.values():
        assert {kind.varies, *kind.tied} - {None} <= set(FEATURES)
    assert "steps_cheese_corner" in KINDS["steps_cheese_decision"].tied
    assert KINDS["euclid_cheese_decision"].tied == ()


def test_pairs_depend_on_seed_and_level_only(made: dict[str, MinimalPairs]) -> None:
    kind = "steps_cheese_decision"
    levels = Levels.from_seeds(range(60))
    again = make_pairs(kind, N, levels, seed=1)
    np.testing.assert_array_equal(again.near.grid, made[kind].near.grid)
    np.testing.assert_array_equal(again.far.grid, made[kind].far.grid)
    alone = make_pairs(kind, 1, levels[levels.seed == made[kind].near.seed[3]], seed=1)
    np.testing.assert_array_equal(alone.near.grid[0], made[kind].near.grid[3])
    other = make_pairs(kind, N, levels, seed=2)
    assert (other.near.grid != again.near.grid).any()
    assert len(np.unique(again.near.seed)) == N


def test_levels_of_ones_own_will_do_if_they_are_whole() -> None:
    pairs = make_pairs("control_walls", 1, [generate(11, rng=seed) for seed in range(4)])
    assert pairs.frame()["seed"].tolist() == [-1]
    level = generate(11, rng=0)
    wall = next((x, y) for y, x in np.argwhere(level.grid == 1).tolist() if 8 < x < 16 and 8 < y < 16 and (x + y) % 2)
    with pytest.raises(ValueError, match="not as it was generated"):
        make_pairs("control_walls", 1, level.without_walls([wall]))
    far_off = level.with_mouse(level.cheese)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not as it was generated"):
        make_pairs("control_walls", 1, far_off)


@pytest.mark.parametrize(
    ("kind", "n", "message"),
    [
        ("walls", 1, "unknown kind 'walls'; there are steps_cheese_decision"),
        ("control_walls", 0, "n is 0"),
        ("euclid_cheese_decision", 50, r"20 levels of side ≥ 7 allow \d of 50 pairs; give more levels"),
    ],
)
def test_bad_requests_are_refused(kind: str, n: int, message: str) -> None:
    levels = Levels.from_seeds(range(60))
    with pytest.raises(ValueError, match=message):
        make_pairs(kind, n, levels[levels.maze_dim >= 7][:20])


def test_measurements_are_those_of_the_rooms(made: dict[str, MinimalPairs], tmp_path: Path) -> None:
    pairs = made["control_cheese"]
    small = np.argsort(pairs.near.maze_dim)[:2]
    pairs = dataclasses.replace(pairs, near=pairs.near[small], far=pairs.far[small])
    policy = sharp_network()
    measured = measure_pairs(policy, pairs, folder=tmp_path)
    for side, levels in (("near", pairs.near), ("far", pairs.far)):
        decided, exact = decide(policy, levels), exact_outcomes(tabulate(policy, levels))
        for measure, values in (("p_cheese_move", decided), ("p_corner_move", decided), ("p_cheese", exact)):
            rows = measured[measured["measure"] == measure]
            assert rows["pair"].tolist() == [0, 1]
            np.testing.assert_allclose(rows[side], values[measure], atol=1e-6)
    (file,) = tmp_path.rglob("*.parquet")
    before = file.stat().st_mtime_ns
    pd.testing.assert_frame_equal(measure_pairs(policy, pairs, folder=tmp_path), measured)
    assert file.stat().st_mtime_ns == before
    assert set(measure_pairs(policy, pairs, exact=False)["measure"]) == {"p_cheese_move", "p_corner_move"}


def test_a_known_influence_is_found_where_it_is(made: dict[str, MinimalPairs]) -> None:
    """A mouse that heeds steps to the cheese and its distance to the corner, but not the straight line to it."""
    nought, one = pd.Series(0.0, FEATURES), pd.Series(1.0, FEATURES)
    mouse = RuleMouse({"intercept": 3, "steps_cheese_decision": -0.1, "euclid_cheese_corner": -0.2}, nought, one)
    measured = pd.concat([measure_pairs(mouse, pairs, exact=False) for pairs in made.values()])
    table = compare_pairs(measured).set_index(["kind", "measure"])
    for kind, pairs in made.items():
        row = table.loc[(kind, "p_cheese_move")]
        assert row["n"] == len(pairs)
        assert row["far"] - row["near"] == pytest.approx(row["difference"])
        assert row["difference"] == pytest.approx(-table.loc[(kind, "p_corner_move"), "difference"])
        if kind in ("steps_cheese_decision", "euclid_cheese_corner"):
            assert row["high"] < 0
            assert row["p_value"] < 0.05
            assert row["change"] >= KINDS[kind].least
        else:
            assert row["difference"] == pytest.approx(0, abs=1e-6)
            assert row["p_holm"] == 1
    assert table.loc[[("control_walls", "p_cheese_move")], "change"].isna().all()
