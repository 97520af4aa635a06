"""Outcomes: of mice whose fate is known, against matrix powers, against sampling, and against the environment."""

import numpy as np
import pandas as pd
import pytest
import torch
from hand_made import Written, always, corridor, random_rule, sharp_network
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mazeinterp.analysis import exact_outcomes, play, sample_episodes, tables, tabulate
from mazeinterp.maze import MOVE_ACTION, Level, Levels, MazeVectorEnv, corner
from mazeinterp.policy import PolicyOutput

LEFT, RIGHT, UP, DOWN, STAY = range(5)
PAINTED = """
###############
#.........#...#
#.#######.#.#.#
#.#.....#.#.#.#
#.#.###.#...#.#
#.#.#...#####.#
#.#.#.#.......#
#...#.#.#####.#
#####.#.#...#.#
#.....#.#.C.#.#
#.#####.#...#.#
#.#.....##.##.#
#.#.###.......#
#M..#.........#
###############
"""


def some_levels() -> Levels:
    generated = [level for level in Levels.from_seeds(range(60), "easy") if level.maze_dim in (5, 7, 9)][:5]
    start_reflected = generated[0].with_reflected(True)
    by_the_cheese = generated[1].with_mouse(free_neighbour(generated[1]))
    return Levels.stack([start_reflected, by_the_cheese, *generated[2:], Level.from_text(PAINTED), corridor("C..M...")])


def small_levels() -> Levels:
    levels = Levels.from_seeds(range(40))
    return levels[np.isin(levels.maze_dim, (3, 5))][:4]


def free_neighbour(level: Level) -> tuple[int, int]:
    x, y = level.cheese
    return next((x + dx, y + dy) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)) if level.grid[y + dy, x + dx] == 0)


def fate(level: Level, rule, horizon: int = 500) -> pd.Series:
    table = tabulate(Written(Levels.stack(level), rule), level)
    return exact_outcomes(table, horizon).iloc[0]


# Known fates


def test_always_right_reaches_a_cheese_on_the_right_in_as_many_steps():
    outcome = fate(corridor("M..C..."), always(RIGHT))
    assert outcome["p_cheese"] == 1
    assert outcome["p_corner_first"] == 0
    assert outcome["expected_steps"] == 3


def test_always_left_never_moves():
    outcome = fate(corridor("M..C..."), always(LEFT), horizon=37)
    assert outcome["p_cheese"] == outcome["p_corner_first"] == 0
    assert outcome["expected_steps"] == 37


@pytest.mark.parametrize(("horizon", "found"), [(2, 0), (3, 1), (4, 1)])
def test_the_last_step_of_the_horizon_counts(horizon, found):
    level = corridor("M..C...")
    assert fate(level, always(RIGHT), horizon)["p_cheese"] == found
    policy = Written(Levels.stack(level), always(RIGHT))
    table = tabulate(policy, level)
    for episode in (sample_episodes(table, horizon=horizon), play(policy, level, horizon=horizon)):
        assert episode["found"].tolist() == [bool(found)]
        assert episode["steps"].tolist() == [min(horizon, 3)]


def test_the_corner_counts_when_it_is_passed_and_when_the_mouse_starts_there():
    # The corner of a grid of one's own is the open square nearest to the world's top right: the corridor's right end.
    passing = corridor("C.M....")
    assert corner(passing).tolist() == [[7, 1]]

    def there_and_back(level, square, reflected):
        return np.eye(5)[RIGHT if reflected and square[0] < 7 else LEFT]

    outcome = fate(passing.with_reflected(True), there_and_back)
    assert (outcome["p_cheese"], outcome["p_corner_first"], outcome["expected_steps"]) == (1, 1, 4 + 6)
    assert fate(passing, there_and_back)[["p_cheese", "p_corner_first", "expected_steps"]].tolist() == [1, 0, 2]
    started = fate(corridor("C.....M"), always(LEFT))
    assert (started["p_cheese"], started["p_corner_first"]) == (1, 1)


def test_without_a_cheese_there_is_only_the_corner():
    level = corridor("M..C...").without_cheese()
    outcome = fate(level, always(RIGHT))
    assert (outcome["p_cheese"], outcome["p_corner_first"], outcome["expected_steps"]) == (0, 1, 500)
    episode = sample_episodes(tabulate(Written(Levels.stack(level), always(RIGHT)), level)).iloc[0]
    assert (episode["found"], episode["corner_first"], episode["steps"]) == (False, True, 500)


def test_a_cheese_on_the_corner_leaves_corner_first_undefined():
    level = corridor("M.....C")
    policy = Written(Levels.stack(level), always(RIGHT))
    table = tabulate(policy, level)
    outcome = exact_outcomes(table).iloc[0]
    assert outcome["p_cheese"] == 1
    assert np.isnan(outcome["p_corner_first"])
    for episodes in (sample_episodes(table, 3), play(policy, level, 3)):
        assert episodes["corner_first"].isna().all()
        assert episodes["found"].all()


def test_any_of_several_cheeses_will_do():
    assert fate(corridor("C..M.C."), always(LEFT))["expected_steps"] == 3
    assert fate(corridor("C..M.C."), always(RIGHT))["expected_steps"] == 2


@pytest.mark.parametrize("start", [1, 3, 6])
def test_a_random_walk_in_a_corridor_is_the_gamblers_ruin(start):
    squares = ["."] * 8
    squares[0], squares[start] = "C", "M"

    def fair(level, square, reflected):
        return np.array([0.3, 0.3, 0.1, 0.1, 0.2])

    outcome = fate(corridor("".join(squares)), fair, horizon=30_000)
    assert outcome["p_corner_first"] == pytest.approx(start / 7, abs=1e-7)
    assert outcome["p_cheese"] == pytest.approx(1, abs=1e-7)
    # Steps T to the cheese: T(0) = 0, T(s) = 1 + 0.3 T(s − 1) + 0.3 T(s + 1) + 0.4 T(s), with a wall behind s = 7.
    expected = np.zeros(8)
    system = np.zeros((8, 8))
    system[0, 0] = 1
    for square in range(1, 8):
        system[square, square] += 1 - 0.4
        for there in (square - 1, min(square + 1, 7)):
            system[square, there] -= 0.3
        expected[square] = 1
    assert outcome["expected_steps"] == pytest.approx(np.linalg.solve(system, expected)[start], rel=1e-6)


# An independent reference: the environment's own transitions as a matrix


def by_matrix_powers(policy: Written, level: Level, horizons: tuple[int, ...]) -> list[list[float]]:
    """P(cheese), P(corner first) and expected steps, by products of a matrix that the environment fills."""
    squares = [(x, y) for y in range(level.world) for x in range(level.world) if level.grid[y, x] == 0]
    states = [(square, reflected) for square in squares for reflected in (False, True)]
    place = {state: i for i, state in enumerate(states)}
    started = Levels.stack([level.with_mouse(square).with_reflected(reflected) for square, reflected in states])
    moves = [policy.moves(level, *state) for state in states]
    matrix = np.zeros((len(states) + 1, len(states) + 1))
    matrix[-1, -1] = 1
    for move in range(5):
        environment = MazeVectorEnv(len(states), levels=started)
        environment.reset()
        _, _, found, _, _ = environment.step(np.full(len(states), MOVE_ACTION[move]))
        after = environment.levels
        for i in range(len(states)):
            there = len(states) if found[i] else place[tuple(after.mouse[i].tolist()), bool(after.reflected[i])]
            matrix[i, there] += moves[i][move]
    target = tuple(corner(level)[0].tolist())
    at_corner = [place[state] for state in states if state[0] == target]
    stopped = matrix.copy()
    stopped[at_corner] = np.eye(len(stopped))[at_corner]
    running = reached = np.eye(len(matrix))[place[level.mouse, level.reflected]]
    steps, results = 0.0, []
    for step in range(1, max(horizons) + 1):
        steps += 1 - running[-1]
        running, reached = running @ matrix, reached @ stopped
        if step in horizons:
            first = np.nan if target == level.cheese else reached[at_corner].sum()
            results.append([running[-1], first, steps])
    return results


def test_exact_outcomes_equal_matrix_powers_of_the_environment():
    levels, horizons = some_levels(), (1, 150, 500)
    policy = Written(levels, random_rule)
    expected = np.array([by_matrix_powers(policy, level, horizons) for level in levels])
    table = tabulate(policy, levels)
    for h, horizon in enumerate(horizons):
        outcomes = exact_outcomes(table, horizon)[["p_cheese", "p_corner_first", "expected_steps"]]
        np.testing.assert_allclose(outcomes, expected[:, h], rtol=1e-5, atol=1e-7)
    assert np.ptp(expected[:, 1, 0]) > 0.3


def test_probability_is_conserved_over_the_whole_horizon():
    level = Level.from_seed(7)
    blind = exact_outcomes(tabulate(sharp_network(), level.without_cheese())).iloc[0]
    assert (blind["p_cheese"], blind["expected_steps"]) == (0, 500)
    # In a maze that it is bound to solve, rounding in float32 would show as a probability beside 1.
    p_cheese = fate(corridor("M.C"), lambda level, square, reflected: np.full(5, 0.2), horizon=5_000)["p_cheese"]
    assert p_cheese == pytest.approx(1, abs=1e-12)


# Sampling


def assert_agrees(episodes: pd.DataFrame, exact: pd.DataFrame) -> None:
    """Frequencies and mean lengths against exact outcomes: two-sided tests, Holm over levels and measures."""
    p_values = []
    for level, outcome in exact.set_index("level").iterrows():
        played = episodes[episodes["level"] == level]
        p_values.append(stats.binomtest(int(played["found"].sum()), len(played), min(outcome["p_cheese"], 1)).pvalue)
        if not np.isnan(outcome["p_corner_first"]):
            at_corner = int(played["corner_first"].sum())
            p_values.append(stats.binomtest(at_corner, len(played), min(outcome["p_corner_first"], 1)).pvalue)
        if played["steps"].std() > 0:
            p_values.append(stats.ttest_1samp(played["steps"], outcome["expected_steps"]).pvalue)
    assert len(p_values) >= 3 * len(exact) - 2
    assert multipletests(p_values, method="holm")[1].min() > 0.01


def test_sampled_episodes_agree_with_exact_outcomes():
    levels = some_levels()
    table = tabulate(Written(levels, random_rule), levels)
    assert_agrees(sample_episodes(table, 20_000, seed=1), exact_outcomes(table))


def test_sampled_episodes_of_a_network_agree_with_exact_outcomes():
    table = tabulate(sharp_network(), small_levels())
    exact = exact_outcomes(table)
    assert ((exact["p_cheese"] > 0.05) & (exact["p_cheese"] < 0.95)).sum() >= 1
    assert_agrees(sample_episodes(table, 20_000, seed=2), exact)


def test_episodes_depend_on_the_seed_the_level_and_their_number_alone():
    levels = some_levels()
    policy = Written(levels, random_rule)
    whole = sample_episodes(tabulate(policy, levels), 40, seed=3)
    order = np.random.default_rng(0).permutation(len(levels))
    shuffled = sample_episodes(tables(policy, levels[order], levels_at_a_time=2), 40, seed=3)
    results = ["episode", "found", "corner_first", "steps"]
    for place, i in enumerate(order):
        here, there = (frame[frame["level"] == k][results] for frame, k in ((whole, i), (shuffled, place)))
        pd.testing.assert_frame_equal(here.reset_index(drop=True), there.reset_index(drop=True))
    fewer = sample_episodes(tabulate(policy, levels), 7, seed=3)
    pd.testing.assert_frame_equal(whole[whole["episode"] < 7].reset_index(drop=True), fewer)
    other = sample_episodes(tabulate(policy, levels), 40, seed=4)
    assert (other["steps"] != whole["steps"]).mean() > 0.5
    assert whole.groupby("level")["steps"].nunique().max() > 10


def test_levels_that_look_alike_have_luck_of_their_own():
    twins = [level for level in Levels.from_seeds(range(400), "easy") if level.maze_dim == 3]
    first = twins[0]
    second = next(level for level in twins[1:] if np.array_equal(level.grid, first.grid))
    levels = Levels.stack([first, second.with_background(first.background)])
    table = tabulate(Written(Levels.stack(first), random_rule), Levels.stack(first))
    both = tabulate(lambda obs, *, levels, rows: Written(Levels.stack(first), random_rule)(obs), levels)
    np.testing.assert_array_equal(both.grid(0), both.grid(1))
    episodes = sample_episodes(both, 200)
    steps = [episodes.loc[episodes["level"] == i, "steps"].tolist() for i in (0, 1)]
    assert steps[0] != steps[1]
    assert steps[0] == sample_episodes(table, 200)["steps"].tolist()


def test_random_numbers_are_uniform_and_independent_from_step_to_step():
    # A mouse in a dead end turns by each random number in turn: its wanderings show a chain of them.
    level = corridor("M.........")

    def fair(level, square, reflected):
        return np.array([0.5, 0.5, 0, 0, 0])

    table = tabulate(Written(Levels.stack(level), fair), level)
    horizons = range(1, 5)
    frames = [sample_episodes(table, 40_000, seed=5, horizon=horizon) for horizon in horizons]
    assert all((frame["steps"] == horizon).all() for frame, horizon in zip(frames, horizons, strict=True))
    table = tabulate(Written(Levels.stack(corridor("C.M.C")), fair), corridor("C.M.C"))
    steps = sample_episodes(table, 40_000, seed=5)["steps"]
    # Each pair of steps ends at a cheese with probability 1/2: lengths are 2 × a geometric number.
    counts = [(steps == 2 * k).sum() for k in range(1, 9)] + [(steps > 16).sum()]
    expected = [40_000 / 2**k for k in range(1, 9)] + [40_000 / 2**8]
    assert stats.chisquare(counts, expected).pvalue > 0.001


# Playing in the environment


def test_playing_gives_the_episodes_that_sampling_the_table_gives():
    levels = some_levels()
    policy = Written(levels, random_rule)
    table = tabulate(policy, levels)
    pd.testing.assert_frame_equal(play(policy, levels, 30, seed=6), sample_episodes(table, 30, seed=6))
    pd.testing.assert_frame_equal(play(policy, levels, 30, seed=6, num_envs=7), sample_episodes(table, 30, seed=6))
    pd.testing.assert_frame_equal(play(policy, levels, 2, greedy=True), sample_episodes(table.greedy(), 2))
    assert play(policy, levels, 30, seed=6)["found"].mean() > 0.2


def test_playing_a_network_agrees_with_its_exact_outcomes():
    policy, levels = sharp_network(), small_levels()
    assert_agrees(play(policy, levels, 300, seed=7), exact_outcomes(tabulate(policy, levels)))


def test_playing_asks_about_visited_states_only_and_once():
    levels = some_levels()
    policy = Written(levels, random_rule)
    play(policy, levels, 50, seed=8)
    assert sum(policy.calls) <= 2 * sum((level.grid == 0).sum() for level in levels)
    policy.calls.clear()
    level = corridor("M..C...")
    straight = Written(Levels.stack(level), always(RIGHT))
    play(straight, level, 50)
    assert straight.calls == [1, 1, 1]


def test_a_stochastic_policy_is_asked_at_every_step():
    level = corridor("M..C...")

    class Whim:
        stochastic = True

        def __init__(self):
            self.rng, self.asked = np.random.default_rng(0), 0

        def __call__(self, obs, *, levels=None, rows=None):
            self.asked += len(obs)
            logits = torch.full((len(obs), 15), -torch.inf)
            # Right or stay, with a certainty that changes with its mood.
            logits[torch.arange(len(obs)), torch.from_numpy(self.rng.choice([7, 4], len(obs)))] = 0
            return PolicyOutput(logits, torch.zeros(len(obs)))

    policy = Whim()
    episodes = play(policy, level, 400, num_envs=100)
    assert policy.asked == episodes["steps"].sum()
    assert episodes["found"].all()
    # Three heads of a fair coin take 3 + negative binomial throws.
    p_value = stats.ttest_1samp(episodes["steps"], 6).pvalue
    assert p_value > 0.001
    assert episodes["steps"].nunique() > 5


def test_the_corner_counts_on_the_very_last_step_of_the_environment():
    level = corridor("CM.")

    class Patient:
        stochastic = True
        calls = 0

        def __call__(self, obs, *, levels=None, rows=None):
            self.calls += 1
            logits = torch.full((len(obs), 15), -torch.inf)
            logits[:, 7 if self.calls == 500 else 4] = 0
            return PolicyOutput(logits, torch.zeros(len(obs)))

    episode = play(Patient(), level).iloc[0]
    assert (episode["found"], episode["corner_first"], episode["steps"]) == (False, True, 500)


def test_a_split_at_whole_vectors_changes_nothing_bit_for_bit():
    policy, levels = sharp_network(), small_levels()
    whole = play(policy, levels, num_envs=2)
    parts = [play(policy, levels[i : i + 2], num_envs=2) for i in (0, 2)]
    joined = pd.concat(parts, ignore_index=True).assign(level=whole["level"])
    pd.testing.assert_frame_equal(whole, joined)


def test_frames_join_on_level_seed_and_maze_dim():
    levels = some_levels()
    policy = Written(levels, random_rule)
    exact = exact_outcomes(tables(policy, levels, levels_at_a_time=2))
    episodes = sample_episodes(tables(policy, levels, levels_at_a_time=4), 2)
    assert exact["level"].tolist() == list(range(len(levels)))
    assert exact["seed"].tolist() == levels.seed.tolist()
    assert episodes["level"].tolist() == np.repeat(range(len(levels)), 2).tolist()
    assert episodes["episode"].tolist() == [0, 1] * len(levels)
    assert len(exact.merge(episodes)) == len(episodes)


def test_bad_input_is_refused_with_a_reason():
    level = corridor("M..C...")
    policy = Written(Levels.stack(level), always(RIGHT))
    table = tabulate(policy, level)
    for measure in (exact_outcomes, sample_episodes):
        with pytest.raises(ValueError, match="facings"):
            measure(tabulate(policy, level, facings=[False]))
        with pytest.raises(ValueError, match="horizon is 0"):
            measure(table, horizon=0)
        with pytest.raises(ValueError, match="no tables"):
            measure(iter(()))
    on_cheese = level.with_mouse(level.cheese)
    with pytest.raises(ValueError, match="level 0 starts on a cheese"):
        exact_outcomes(tabulate(policy, on_cheese))
    with pytest.raises(ValueError, match="level 0 starts on a cheese"):
        play(policy, on_cheese)
    for episodes in (0, -1):
        with pytest.raises(ValueError, match="episodes is"):
            sample_episodes(table, episodes)
        with pytest.raises(ValueError, match="episodes is"):
            play(policy, level, episodes)
    with pytest.raises(ValueError, match="horizon 501"):
        play(policy, level, horizon=501)
    with pytest.raises(ValueError, match="num_envs is 0"):
        play(policy, level, num_envs=0)
    with pytest.raises(ValueError, match="no levels"):
        play(policy, Levels.from_seeds([0])[:0])
