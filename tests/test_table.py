"""The policy table against a plain loop, and that nothing but the level and the policy goes into it."""

import numpy as np
import pytest
import torch
from hand_made import Written, always, corridor, random_rule, sharp_network

from mazeinterp.analysis import PolicyTable, run_policy, tables, tabulate
from mazeinterp.maze import MOVES, Level, Levels, observe
from mazeinterp.policy import PolicyOutput


def free_squares(level: Level) -> list[tuple[int, int]]:
    return [(x, y) for y in range(level.world) for x in range(level.world) if level.grid[y, x] == 0]


@pytest.mark.parametrize("mode", ["hard", "easy"])
def test_a_table_equals_a_loop_over_single_observations(mode):
    policy = sharp_network()
    levels = Levels.stack(
        [next(level for level in Levels.from_seeds(range(90), mode) if level.maze_dim == d) for d in (5, 9)]
    )
    table = tabulate(policy, levels)
    for i, level in enumerate(levels):
        rows = slice(table.start[i], table.start[i + 1])
        assert table.square[rows].tolist() == [list(square) for square in free_squares(level)]
        for row, square in enumerate(free_squares(level), table.start[i]):
            for f, reflected in enumerate((False, True)):
                picture = observe(level.with_mouse(square).with_reflected(reflected))
                with torch.no_grad():
                    logits, value = policy(picture)
                actions = np.exp(logits[0].double().numpy())
                actions /= actions.sum()
                moves = [
                    actions[:3].sum(),
                    actions[6:9].sum(),
                    actions[5],
                    actions[3],
                    actions[[4, *range(9, 15)]].sum(),
                ]
                np.testing.assert_allclose(table.moves[row, f], moves, rtol=1e-5)
                np.testing.assert_allclose(
                    table.value[row, f], value.item(), rtol=1e-5, atol=1e-5 * policy.return_scale
                )
    assert table.start[-1] == len(table.square) == len(table.moves) == len(table.value)
    assert table.moves.std(axis=0).min() > 1e-3  # so that a square's answer on another's row would show
    assert np.abs(table.moves[:, 0] - table.moves[:, 1]).max() > 1e-3


def test_a_level_has_the_same_answers_bit_for_bit_in_any_company_and_order():
    policy, levels = sharp_network(), Levels.from_seeds([3, 6, 7, 20])
    table = tabulate(policy, levels)
    order = np.array([2, 0, 3, 1])
    shuffled = tabulate(policy, levels[order])
    for place, i in enumerate(order):
        for reflected in (False, True):
            np.testing.assert_array_equal(shuffled.grid(place, reflected), table.grid(i, reflected))
            np.testing.assert_array_equal(shuffled.values(place, reflected), table.values(i, reflected))
        np.testing.assert_array_equal(tabulate(policy, levels[int(i)]).grid(0), table.grid(i))


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_batch_size_changes_rounding_only(batch_size):
    policy, levels = sharp_network(), Levels.from_seeds([3, 6])
    table, other = tabulate(policy, levels), tabulate(policy, levels, batch_size=batch_size)
    np.testing.assert_allclose(other.moves, table.moves, rtol=1e-5)
    np.testing.assert_allclose(other.value, table.value, rtol=1e-5, atol=1e-5 * policy.return_scale)


def test_mice_facings_and_other_facings_do_not_matter():
    policy, level = sharp_network(), Level.from_seed(6)
    moved = level.with_mouse(free_squares(level)[-1]).with_reflected(True)
    np.testing.assert_array_equal(tabulate(policy, moved).moves, tabulate(policy, level).moves)
    for facing in (False, True):
        one = tabulate(policy, level, facings=[facing])
        assert one.facings == (facing,)
        np.testing.assert_allclose(one.grid(0, facing), tabulate(policy, level).grid(0, facing), rtol=1e-5)
        with pytest.raises(ValueError, match="without the facing"):
            one.grid(0, not facing)


def test_a_stream_of_tables_is_the_table_in_parts_and_asks_only_for_what_is_read():
    levels = Levels.from_seeds([3, 8, 22, 6, 13], "easy")
    policy = Written(levels, random_rule)
    whole = tabulate(policy, levels)
    policy.calls.clear()
    stream = tables(policy, levels, levels_at_a_time=2)
    first = next(stream)
    assert len(first) == 2
    assert sum(policy.calls) == 2 * first.start[-1] == 2 * whole.start[2]
    parts = [first, *stream]
    assert [part.first for part in parts] == [0, 2, 4]
    assert [len(part) for part in parts] == [2, 2, 1]
    for name in ("square", "moves", "value"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    frame = parts[1].to_frame()
    assert sorted(set(frame["level"])) == [2, 3]
    assert sorted(set(frame["seed"])) == [6, 22]


def test_the_policy_is_told_which_level_an_observation_is_of():
    levels = Levels.from_seeds([3, 8], "easy")
    told = []

    def policy(obs, *, levels=None, rows=None):
        told.append((levels, rows))
        seeds = torch.from_numpy(levels.seed[rows])
        return PolicyOutput(torch.zeros(len(obs), 15), seeds.float())

    table = tabulate(policy, levels)
    assert all(given is told[0][0] for given, _ in told)
    assert all(len(set(rows.tolist())) == 1 for _, rows in told)
    np.testing.assert_array_equal(table.value, np.repeat([3, 8], np.diff(table.start))[:, None].repeat(2, 1))


def test_the_cheese_has_no_row_and_other_cheeses_neither():
    level = corridor("M..C.C.")
    table = tabulate(Written(Levels.stack(level), always(1)), level)
    assert table.square.tolist() == [[1, 1], [2, 1], [3, 1], [5, 1], [7, 1]]
    grid = table.grid(0)
    assert np.isnan(grid[1, 4]).all()
    assert np.isnan(grid[0]).all()
    np.testing.assert_array_equal(grid[1, 5], np.eye(5)[1])


def test_the_long_form_says_what_the_grids_say():
    levels = Levels.from_seeds([3, 8], "easy")
    table = tabulate(Written(levels, random_rule), levels)
    frame = table.to_frame()
    assert len(frame) == 2 * table.start[-1]
    for row in frame.sample(40, random_state=0).itertuples():
        grid = table.grid(row.level, row.reflected)
        np.testing.assert_array_equal([getattr(row, move) for move in MOVES], grid[row.y, row.x])
        assert row.value == table.values(row.level, row.reflected)[row.y, row.x]
        assert row.seed == levels.seed[row.level]
        assert row.maze_dim == levels.maze_dim[row.level]


def test_the_greedy_table_makes_the_most_likely_move():
    level = Level.from_seed(3, "easy")
    table = tabulate(Written(Levels.stack(level), random_rule), level)
    greedy = table.greedy()
    assert set(np.unique(greedy.moves)) == {0.0, 1.0}
    assert (greedy.moves.sum(axis=2) == 1).all()
    chosen = np.take_along_axis(table.moves, greedy.moves.argmax(axis=2)[..., None], axis=2)[..., 0]
    np.testing.assert_array_equal(chosen, table.moves.max(axis=2))
    np.testing.assert_array_equal(greedy.value, table.value)


def test_a_table_can_be_written_by_hand():
    levels = Levels.from_seeds([3, 8], "easy")
    moves = np.random.default_rng(0).dirichlet(np.ones(5), levels.grid.shape)
    table = PolicyTable.from_moves(levels, moves)
    there = np.repeat([0, 1], np.diff(table.start)), table.square[:, 1], table.square[:, 0]
    for facing in range(2):
        np.testing.assert_array_equal(table.moves[:, facing], moves[there].astype(np.float32))
    assert np.isnan(table.value).all()
    with pytest.raises(ValueError, match="not those of five moves"):
        PolicyTable.from_moves(levels, moves * 1.01)
    with pytest.raises(ValueError, match="have shape"):
        PolicyTable.from_moves(levels, moves[:1])


def test_gradients_and_global_precision_are_left_alone():
    policy = sharp_network()
    before = torch.backends.cudnn.allow_tf32
    tabulate(policy, corridor("M.C"))
    assert torch.backends.cudnn.allow_tf32 == before
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_what_cannot_be_tabulated_is_refused():
    level = corridor("M.C")
    policy = Written(Levels.stack(level), always(1))
    policy.stochastic = True
    with pytest.raises(ValueError, match="play it step by step"):
        tabulate(policy, level)
    policy.stochastic = False
    for facings in ((), (True, True)):
        with pytest.raises(ValueError, match="facings"):
            tabulate(policy, level, facings=facings)
    with pytest.raises(ValueError, match="batch_size is 0"):
        tabulate(policy, level, batch_size=0)
    with pytest.raises(ValueError, match="levels_at_a_time is 0"):
        next(tables(policy, level, levels_at_a_time=0))
    with pytest.raises(IndexError, match="level 1 of a table of 1"):
        tabulate(policy, level).grid(1)
    with pytest.raises(TypeError, match="expected Levels"):
        tabulate(policy, [0])


def test_a_policy_that_breaks_is_named_as_the_cause():
    levels = Levels.from_seeds([3, 8], "easy")

    def broken(obs, *, levels=None, rows=None):
        logits = torch.zeros(len(obs), 15)
        logits[:, 0] = torch.from_numpy(np.where(rows == 1, np.nan, 0.0))
        return PolicyOutput(logits, torch.zeros(len(obs)))

    with pytest.raises(ValueError, match=r"not finite in .* first in level 1"):
        tabulate(broken, levels)

    def with_nine_actions(obs, *, levels=None, rows=None):
        return PolicyOutput(torch.zeros(len(obs), 9), torch.zeros(len(obs)))

    with pytest.raises(ValueError, match="15"):
        run_policy(with_nine_actions, observe(levels), levels, np.arange(2))
