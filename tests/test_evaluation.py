"""Decision squares, baselines and evaluations of mice whose merits are known."""

import numpy as np
import pandas as pd
import pytest
import torch
from hand_made import Written, always, corridor, random_rule, sharp_network
from scipy import stats

from mazeinterp.analysis import (
    PolicyTable,
    decide,
    evaluate,
    evaluate_tables,
    exact_outcomes,
    goal_misgeneralisation,
    held_out,
    random_walk,
    sample_episodes,
    shortest_path_mouse,
    summarise,
    tabulate,
    wilson,
)
from mazeinterp.maze import MOVES, Levels, best_moves, corner, decision_square, distances, observe
from mazeinterp.policy import PolicyOutput


def seeker(target):
    """The rule of a mouse that goes straight to a target: `target(level)` is its square."""

    def rule(level, square, reflected):
        mask = best_moves(level, target(level))[0, square[1], square[0]]
        return np.eye(5)[next((move for move in range(4) if mask >> move & 1), MOVES.index("stay"))]

    return rule


def to_cheese(level):
    return level.cheese


def to_corner(level):
    return corner(level)[0]


@pytest.fixture(scope="module")
def levels() -> Levels:
    """Different ones of maze_dim 7 and 9 with a decision square, and one without."""
    batch = Levels.from_seeds(range(120), "easy")
    chosen = [level for level in batch if level.maze_dim in (7, 9) and decision_square(level)]
    without = next(level for level in batch if level.maze_dim == 7 and not decision_square(level))
    return Levels.stack([*chosen[:3], without, *chosen[3:6]])


# Decisions


def test_seekers_decide_as_they_should(levels):
    for target, cheese, corner_ in ((to_cheese, 1, 0), (to_corner, 0, 1)):
        frame = decide(Written(levels, seeker(target)), levels)
        assert frame["level"].tolist() == [0, 1, 2, 4, 5, 6]
        assert frame["seed"].tolist() == levels.seed[frame["level"]].tolist()
        assert (frame["p_cheese_move"] == cheese).all()
        assert (frame["p_corner_move"] == corner_).all()


def test_decisions_are_single_unreflected_answers_at_the_decision_square():
    policy, levels = sharp_network(), Levels.from_seeds(range(40)).with_reflected(True)
    frame = decide(policy, levels)
    assert len(frame) == sum(decision_square(level) is not None for level in levels)
    for row in frame.itertuples():
        level = levels[row.level]
        decision = decision_square(level)
        assert (row.x, row.y) == decision.square
        moves = policy.moves(observe(level.with_mouse(decision.square).with_reflected(False)))[0]
        assert row.cheese_move == MOVES[decision.cheese_move]
        assert row.corner_move == MOVES[decision.corner_move]
        assert row.p_cheese_move == pytest.approx(moves[decision.cheese_move].item(), rel=1e-5)
        assert row.p_corner_move == pytest.approx(moves[decision.corner_move].item(), rel=1e-5)


def test_decisions_can_be_asked_with_the_cheese_hidden(levels):
    shown = levels.without_cheese()
    both = {level.seed: level for level in levels}
    seen_without = Written(
        shown, lambda level, square, reflected: seeker(to_corner)(both[level.seed], square, reflected)
    )
    frame = decide(seen_without, levels, shown)
    assert (frame["p_corner_move"] == 1).all()
    assert len(frame) == 6
    with pytest.raises(ValueError, match="2 levels are shown for 7"):
        decide(seen_without, levels, shown[:2])
    with pytest.raises(ValueError, match="none of the 7 levels has a decision square"):
        decide(seen_without, shown)


def test_decisions_tell_the_policy_the_level_of_each_row(levels):
    told = []

    def policy(obs, *, levels=None, rows=None):
        told.extend(levels.seed[rows].tolist())
        return PolicyOutput(torch.zeros(len(obs), 15), torch.zeros(len(obs)))

    frame = decide(policy, levels)
    assert told == frame["seed"].tolist()
    np.testing.assert_allclose(
        frame["p_cheese_move"], [{"left": 3, "right": 3}.get(m, 1) / 15 for m in frame["cheese_move"]]
    )


# Baselines


def test_the_shortest_path_mouse_takes_the_shortest_path():
    batch = Levels.from_seeds(range(100))
    outcomes = exact_outcomes(shortest_path_mouse(batch))
    cheese = batch.cheese
    steps = distances(batch, batch.mouse)[np.arange(100), cheese[:, 1], cheese[:, 0]]
    assert outcomes["level"].tolist() == list(range(100))
    assert (outcomes["p_cheese"] == 1).all()
    assert outcomes["expected_steps"].tolist() == steps.tolist()
    walled_off = corridor("M.#C")
    assert exact_outcomes(shortest_path_mouse(walled_off))["p_cheese"].tolist() == [0]


def test_the_random_walk_is_what_equal_logits_make():
    batch = Levels.from_seeds(range(70), "easy")

    def uniform(obs, *, levels=None, rows=None):
        return PolicyOutput(torch.zeros(len(obs), 15), torch.zeros(len(obs)))

    parts = list(random_walk(batch))
    assert [part.first for part in parts] == [0, 64]
    np.testing.assert_allclose(
        np.concatenate([part.moves for part in parts]), tabulate(uniform, batch).moves, rtol=1e-6
    )


# Evaluation


def test_playing_and_tables_evaluate_alike(levels):
    policy = Written(levels, random_rule)
    played = evaluate(policy, levels, exact_levels=4, seed=3)
    from_tables = evaluate_tables([tabulate(policy, levels)], seed=3)
    assert len(played) == 2 * len(levels)
    exact = ["p_cheese", "p_corner_first", "expected_steps"]
    pd.testing.assert_frame_equal(played.drop(columns=exact), from_tables.drop(columns=exact))
    has_exact = (played["choice"] == "sampled") & (played["level"] < 4)
    assert played.loc[~has_exact, exact].isna().all(axis=None)
    pd.testing.assert_frame_equal(played.loc[has_exact, exact], from_tables.loc[has_exact, exact])
    sampled = sample_episodes(tabulate(policy, levels), seed=3)
    rows = played[played["choice"] == "sampled"].reset_index(drop=True)
    for name in ("found", "steps", "corner_first"):
        pd.testing.assert_series_equal(rows[name], sampled[name])
    assert (rows["excess_steps"] == rows["steps"] - rows["shortest"]).all()


def test_an_evaluation_holds_few_levels_at_a_time_and_asks_about_a_state_once():
    batch, seen = Levels.from_seeds(range(600), "easy"), []

    def watched(obs, *, levels=None, rows=None):
        seen.append((len(obs), len(levels)))
        return PolicyOutput(torch.zeros(len(obs), 15), torch.zeros(len(obs)))

    chosen = batch[batch.maze_dim == 3]
    evaluate(watched, chosen, exact_levels=80)
    assert len(chosen) > 64
    assert max(n for _, n in seen) <= 256
    states = 2 * 7 * len(chosen)
    # Each of the two plays asks of a state at most once, the tables once.
    assert sum(n for n, _ in seen) <= 3 * states


def test_a_stochastic_policy_is_evaluated_without_tables():
    level = corridor("M.C")
    policy = Written(Levels.stack(level), always(1))
    policy.stochastic = True
    results = evaluate(policy, level, exact_levels=0)
    assert results["found"].all()
    assert results["excess_steps"].tolist() == [0, 0]
    assert results[["p_cheese", "p_corner_first", "expected_steps"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="step by step"):
        evaluate(policy, level)


def test_the_summary_has_every_measure_with_its_interval(levels):
    walk = evaluate_tables(random_walk(levels)).assign(policy="walk")
    expert = evaluate_tables(shortest_path_mouse(levels)).assign(policy="expert")
    table = summarise(pd.concat([walk, expert]), by=["policy"])
    rows = table.set_index(["policy", "choice", "from_dim", "to_dim", "measure"]).sort_index()
    assert set(zip(table["from_dim"], table["to_dim"], strict=True)) == {(7, 9), (7, 7), (9, 9)}
    best = rows.loc["expert", "sampled", 7, 9]
    assert tuple(best.loc["success"]) == wilson(7, 7)
    assert tuple(best.loc["p_cheese"]) == (1, 1, 1, 7)
    assert best.loc["excess_steps_median", "estimate"] == best.loc["excess_steps_p90", "estimate"] == 0
    sampled = walk[walk["choice"] == "sampled"]
    worst = rows.loc["walk", "sampled", 7, 9]
    assert worst.loc["p_cheese", "estimate"] == pytest.approx(sampled["p_cheese"].mean())
    assert worst.loc["excess_steps_p90", "estimate"] == pytest.approx(sampled["excess_steps"].quantile(0.9))
    assert worst.loc["success", "estimate"] == sampled["found"].mean()
    # The greedy random walk pushes to the left for ever; it has no exact outcomes of its own.
    greedy = rows.loc["walk", "greedy", 7, 9]
    assert "p_cheese" not in greedy.index
    assert greedy.loc["success", "estimate"] == 0
    one = summarise(walk[walk["level"] == 0])
    assert one.loc[one["measure"] == "p_cheese", ["low", "high"]].isna().all(axis=None)


def test_a_failed_episode_counts_with_its_500_steps():
    level = corridor("M.C...")
    results = evaluate(Written(Levels.stack(level), always(0)), level, exact_levels=1)
    assert results["excess_steps"].tolist() == [498, 498]
    assert results["shortest"].tolist() == [2, 2]


def test_held_out_levels_are_the_first_that_have_a_cheese():
    levels = held_out(30, cheese_region=5)
    assert levels.seed.tolist() == list(range(30))
    assert (levels.grid == Levels.from_seeds(range(30), cheese_region=5).grid).all()
    assert held_out(20, mode="easy").mode == "easy"
    many = held_out(1_000, cheese_region=1)
    assert len(many) == 1_000
    assert (many.cheese >= 0).all()
    assert set(range(1_001)) - set(many.seed.tolist()) == {942}  # which has none at region 1
    for n in (0, 500_000):
        with pytest.raises(ValueError, match=f"n is {n}"):
            held_out(n)


# Goal misgeneralisation


def test_what_seekers_go_for_is_told_apart(levels):
    policies = {"cheese": Written(levels, seeker(to_cheese)), "corner": Written(levels, seeker(to_corner))}
    table = goal_misgeneralisation(policies, levels).set_index(["measure", "policy"])
    for measure, sign in (("p_cheese_move", -1), ("p_corner_move", 1), ("p_cheese", -1), ("p_corner_first", 1)):
        row = table.loc[measure, "corner"]
        assert row["difference"] == sign
        assert row["n"] == 6
        # Six differences of one sign: 2 of 2⁶ sign flips are as extreme; four such tests by Holm.
        assert row["p_value"] == pytest.approx(2 / 2**6)
        assert row["p_holm"] == pytest.approx(8 / 2**6)
    other = goal_misgeneralisation(policies, levels, reference="corner").set_index(["measure", "policy"])
    assert other.loc["p_cheese", "cheese"]["difference"] == 1


def test_small_mazes_do_not_count(levels):
    small = [level for level in Levels.from_seeds(range(60), "easy") if level.maze_dim == 5 and decision_square(level)]
    both = Levels.stack([*levels, small[0]])
    policies = {"cheese": Written(both, seeker(to_cheese))}
    assert set(goal_misgeneralisation(policies, both)["n"]) == {6}
    with pytest.raises(ValueError, match="0 levels with a decision square and maze_dim ≥ 7, of 1 given"):
        goal_misgeneralisation(policies, small[0])
    with pytest.raises(ValueError, match="0 policies"):
        goal_misgeneralisation({}, levels)


def test_levels_that_cannot_be_solved_are_refused(levels):
    policy = Written(levels, random_rule)
    for level in (levels[0].without_cheese(), corridor("M.#C")):
        with pytest.raises(ValueError, match="level 0 has no cheese that the mouse can reach"):
            evaluate(policy, level)
        with pytest.raises(ValueError, match="level 0 has no cheese that the mouse can reach"):
            evaluate_tables([PolicyTable.from_moves(level, np.full((1, 15, 15, 5), 0.2))])
    with pytest.raises(ValueError, match="2 cheeses"):
        evaluate(policy, corridor("CMC"))


def test_success_of_the_random_walk_is_that_of_its_exact_outcomes():
    results = evaluate_tables(random_walk(held_out(400, cheese_region=5)))
    sampled = results[results["choice"] == "sampled"]
    variance = (sampled["p_cheese"] * (1 - sampled["p_cheese"])).sum()
    z = (sampled["found"].sum() - sampled["p_cheese"].sum()) / np.sqrt(variance)
    assert 2 * stats.norm.sf(abs(z)) > 0.001
    assert 0.13 < sampled["p_cheese"].mean() < 0.25
