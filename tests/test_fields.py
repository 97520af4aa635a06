"""Vector fields of mice whose moves are known, and what is read from them."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hand_made import Written, always, corridor, random_rule, sharp_network

from mazeinterp.analysis import (
    PolicyTable,
    VectorField,
    arrow_change,
    path_probabilities,
    tabulate,
    total_variation,
    vector_field,
)
from mazeinterp.maze import MOVES, Level, Levels, shortest_path

LEVEL = next(level for level in Levels.from_seeds(range(30), "easy") if level.maze_dim == 9)
LOOP = Level.from_text(
    "\n".join(["#" * 15] * 10 + ["#....##########", "#.##.##########", "#M..C.#########", "#.#############", "#" * 15])
)


def written_field(level: Level, moves: np.ndarray) -> VectorField:
    return VectorField.from_table(PolicyTable.from_moves(level, moves[None]))


def test_a_field_shows_the_facing_that_is_asked():
    policy = Written(Levels.stack(LEVEL), random_rule)
    fields = [vector_field(policy, LEVEL, reflected=reflected) for reflected in (False, True)]
    for reflected, field in zip((False, True), fields, strict=True):
        assert field.level == LEVEL
        assert field.reflected == reflected
        for y, x in np.ndindex(LEVEL.grid.shape):
            if LEVEL.grid[y, x] == 0:
                np.testing.assert_allclose(field.moves[y, x], policy.moves(LEVEL, (x, y), reflected), rtol=1e-5)
            else:
                assert np.isnan(field.moves[y, x]).all()
                assert np.isnan(field.value[y, x])
    assert np.nanmax(np.abs(fields[0].moves - fields[1].moves)) > 0.1
    # Half the states, half the forward passes.
    policy.calls.clear()
    vector_field(policy, LEVEL)
    assert sum(policy.calls) == (LEVEL.grid == 0).sum()


def test_a_field_is_a_table_of_one_facing():
    policy = sharp_network()
    level = Level.from_seed(7)
    table = tabulate(policy, level)
    for reflected in (False, True):
        field, from_table = (
            vector_field(policy, level, reflected=reflected),
            VectorField.from_table(table, 0, reflected),
        )
        np.testing.assert_allclose(field.moves, from_table.moves, rtol=1e-5)
        np.testing.assert_allclose(field.value, from_table.value, rtol=1e-5, atol=1e-5 * policy.return_scale)


def test_arrows_point_where_the_mouse_goes():
    arrows = {"left": [-1, 0], "right": [1, 0], "up": [0, 1], "down": [0, -1], "stay": [0, 0]}
    is_free = LEVEL.grid == 0
    for move, arrow in arrows.items():
        field = vector_field(Written(Levels.stack(LEVEL), always(MOVES.index(move))), LEVEL)
        assert field.arrows[is_free].tolist() == [arrow] * int(is_free.sum())
        assert np.isnan(field.arrows[~is_free]).all()


def test_changes_have_their_closed_forms():
    level = corridor("M...")
    before, after = (np.zeros((15, 15, 5)) for _ in range(2))
    before[..., :] = after[..., :] = (0.2, 0.2, 0.2, 0.2, 0.2)
    after[1, 1] = (0, 0.4, 0.2, 0.2, 0.2)
    after[1, 3] = (0.2, 0.2, 0.5, 0.1, 0)
    one, other = written_field(level, before), written_field(level, after)
    change = total_variation(one, other)
    np.testing.assert_allclose(change[1, 1:5], [0.2, 0, 0.3, 0], atol=1e-7)
    assert np.nanmean(change) == pytest.approx(0.125)
    # Arrows change by (0.4, 0) and (0, 0.4): √(0.16 + 0.16) / (2 · 4).
    assert arrow_change(one, other) == pytest.approx(math.sqrt(0.32) / 8)
    assert arrow_change(one, one) == 0
    np.testing.assert_array_equal(total_variation(other, one), change)


def test_a_cheese_that_one_level_lacks_does_not_count():
    level = corridor("M.C.")
    with_cheese = vector_field(Written(Levels.stack(level), always(0)), level)
    blank = level.without_cheese()
    without = vector_field(Written(Levels.stack(blank), always(1)), blank)
    change = total_variation(with_cheese, without)
    np.testing.assert_array_equal(change[1, 1:5], [1, 1, np.nan, 1])
    assert arrow_change(with_cheese, without) == pytest.approx(math.sqrt(3 * 4) / 6)


def test_path_probabilities_are_geometric_means_along_shortest_paths():
    for level in (LEVEL, LOOP):
        policy = Written(Levels.stack(level), random_rule)
        probabilities = path_probabilities(vector_field(policy, level))
        compared = 0
        for y, x in np.ndindex(level.grid.shape):
            path = shortest_path(level, level.mouse, (x, y))
            if path is None or len(path) == 1 or level.cheese in path[:-1]:
                assert np.isnan(probabilities[y, x])
                continue
            product = 1.0
            for here, there in pairwise(path):
                step = (there[0] - here[0], there[1] - here[1])
                move = [(-1, 0), (1, 0), (0, 1), (0, -1)].index(step)
                product *= policy.moves(level, here, False)[move]
            assert probabilities[y, x] == pytest.approx(product ** (1 / (len(path) - 1)), rel=1e-5)
            compared += 1
        assert compared >= 8
    assert not np.isnan(probabilities[2, 4])  # the cheese itself
    assert np.isnan(probabilities[3, 4])  # behind it, though a longer way leads around


def test_a_move_that_is_never_made_closes_the_path():
    level = corridor("M...")
    moves = np.full((15, 15, 5), 0.2)
    moves[1, 2] = (1, 0, 0, 0, 0)
    probabilities = path_probabilities(written_field(level, moves))
    np.testing.assert_allclose(probabilities[1, 1:5], [np.nan, 0.2, 0, 0], rtol=1e-6)


def test_fields_of_different_mazes_are_not_compared():
    def still(squares: str) -> VectorField:
        return vector_field(Written(Levels.stack(corridor(squares)), always(MOVES.index("stay"))), corridor(squares))

    for compare in (total_variation, arrow_change):
        with pytest.raises(ValueError, match="different walls"):
            compare(still("M.C"), still("M..C"))
    with pytest.raises(ValueError, match="no square in common"):
        arrow_change(still("MC"), still("CM"))
