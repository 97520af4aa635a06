"""Distances, paths, the corner and the decision square, against scipy and plain definitions."""

from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import batches, generated, golden, levels, open_squares, squares, steps_to

from mazeinterp.maze import (
    ACTION_MOVE,
    MODES,
    MOVE_ACTION,
    MOVES,
    Level,
    Levels,
    best_moves,
    corner,
    decision_square,
    decision_squares,
    distances,
    in_top_right,
    is_tree,
    shortest_path,
)
from mazeinterp.maze.paths import MOVE_STEPS

Square = tuple[int, int]
STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "down": (0, -1), "stay": (0, 0)}
EMPTY = np.zeros((15, 15), np.uint8)


def moved(square: Square, move: int) -> Square:
    dx, dy = STEPS[MOVES[move]]
    return square[0] + dx, square[1] + dy


def neighbours(level: Level, square: Square) -> list[tuple[int, Square]]:
    """The moves from a square to open squares, and where they lead."""
    around = [(move, moved(square, move)) for move in range(4)]
    world = range(level.world)
    return [(m, (x, y)) for m, (x, y) in around if x in world and y in world and level.grid[y, x] != 1]


# Moves and actions


def test_every_action_makes_the_move_that_procgen_gives_it() -> None:
    assert MOVES == ("left", "right", "up", "down", "stay")
    assert MOVE_STEPS.tolist() == [list(STEPS[move]) for move in MOVES]
    for action in range(15):
        dx, dy = (action // 3 - 1, action % 3 - 1) if action < 9 else (0, 0)
        assert STEPS[MOVES[ACTION_MOVE[action]]] == (dx, 0 if dx else dy)
    assert ACTION_MOVE[MOVE_ACTION].tolist() == [0, 1, 2, 3, 4]


# Distances


@given(levels, st.data())
def test_distances_are_scipys(level: Level, data: st.DataObject) -> None:
    target = data.draw(squares(level.world))
    want = steps_to(level, target)
    want[level.grid == 1] = np.inf  # a wall is a node without edges there: its distance to itself is 0
    got = distances(level, target)
    assert (got.shape, got.dtype) == ((1, level.world, level.world), np.int32)
    np.testing.assert_array_equal(np.where(got[0] < 0, np.inf, got[0]), want)


@given(batches(), st.data())
def test_distances_of_a_batch(rows: list[Level], data: st.DataObject) -> None:
    world = rows[0].world
    targets = [data.draw(squares(world)) for _ in rows]
    got = distances(rows, targets)
    for row, target, steps in zip(rows, targets, got, strict=True):
        np.testing.assert_array_equal(distances(row, target)[0], steps)
        np.testing.assert_array_equal(distances(row, [target])[0], steps)
    np.testing.assert_array_equal(distances(rows, targets[0])[-1], distances(rows[-1], targets[0])[0])


@given(levels, st.data())
def test_best_moves_are_those_that_come_nearer(level: Level, data: st.DataObject) -> None:
    target = data.draw(squares(level.world))
    steps, masks = steps_to(level, target), best_moves(level, target)[0]
    assert masks.dtype == np.uint8
    for x, y in product(range(level.world), repeat=2):
        nearer = [m for m, (a, b) in neighbours(level, (x, y)) if steps[b, a] == steps[y, x] - 1]
        want = sum(1 << m for m in nearer) if level.grid[y, x] != 1 and np.isfinite(steps[y, x]) else 0
        assert masks[y, x] == want


@given(batches())
def test_best_moves_lead_to_the_cheese(rows: list[Level]) -> None:
    if all(len(row.cheeses) == 1 for row in rows):
        np.testing.assert_array_equal(best_moves(rows), best_moves(rows, [row.cheese for row in rows]))
    else:
        with pytest.raises(ValueError, match="cheese"):
            best_moves(rows)


@given(levels, st.data())
def test_a_shortest_path_is_one(level: Level, data: st.DataObject) -> None:
    start, goal = data.draw(squares(level.world)), data.draw(squares(level.world))
    path, steps = shortest_path(level, start, goal), steps_to(level, goal)[start[1], start[0]]
    if np.isinf(steps) or level.grid[start[1], start[0]] == 1:
        assert path is None
        return
    assert (path[0], path[-1], len(path)) == (start, goal, steps + 1)
    for here, there in pairwise(path):
        assert there in [square for _, square in neighbours(level, here)]


@given(generated().filter(lambda level: level.cheese))
def test_a_shortest_path_goes_from_the_mouse_to_the_cheese(level: Level) -> None:
    path = shortest_path(level)
    assert path == shortest_path(level, level.mouse, level.cheese)
    assert path == shortest_path(level, np.array(level.mouse), np.array(level.cheese))
    assert path == shortest_path(level, list(level.mouse), list(level.cheese))
    assert path == shortest_path(level, level.cheese, level.mouse)[::-1]  # in a tree there is but one
    assert all(type(x) is int and type(y) is int for x, y in path)


# The corner and the top-right region


@given(generated())
def test_the_corner_of_a_maze_is_its_top_right_cell(level: Level) -> None:
    assert tuple(corner(level)[0]) == level.to_world((level.maze_dim - 1, level.maze_dim - 1))


@given(batches())
def test_the_corner_is_the_nearest_open_square(rows: list[Level]) -> None:
    got = corner(rows)
    assert (got.shape, got.dtype) == ((len(rows), 2), np.int64)
    for row, square in zip(rows, got.tolist(), strict=True):
        last = (row.world + (row.maze_dim or row.world)) // 2 - 1
        ranked = sorted(open_squares(row), key=lambda s: ((s[0] - last) ** 2 + (s[1] - last) ** 2, -s[1]))
        assert tuple(square) == ranked[0]


@given(batches(), st.integers(1, 30))
def test_the_top_right_region(rows: list[Level], size: int) -> None:
    for row, region in zip(rows, in_top_right(rows, size), strict=True):
        last = (row.world + (row.maze_dim or row.world)) // 2 - 1
        want = {(x, y) for x, y in open_squares(row) if last - size < x <= last and last - size < y <= last}
        assert {(x, y) for y, x in np.argwhere(region).tolist()} == want
    np.testing.assert_array_equal(in_top_right(rows), in_top_right(rows, 5))


# The decision square


def all_shortest_paths(level: Level, start: Square, goal: Square) -> list[list[Square]]:
    """Every shortest path, by scipy's distances; for mazes in which there are few."""
    steps, done = steps_to(level, goal), []
    if np.isinf(steps[start[1], start[0]]):
        return []
    unfinished = [[start]]
    while unfinished:
        path = unfinished.pop()
        if path[-1] == goal:
            done.append(path)
        x, y = path[-1]
        unfinished += [[*path, (a, b)] for _, (a, b) in neighbours(level, (x, y)) if steps[b, a] == steps[y, x] - 1]
        assert len(done) + len(unfinished) < 5000, "too many paths to list them"
    return done


def plain_decisions(level: Level) -> set[tuple[Square, int, int]]:
    """Every decision square with its pairs of moves: where two shortest paths part for the last time."""
    if len(level.cheeses) != 1:
        return set()
    to_cheese = all_shortest_paths(level, level.mouse, level.cheese)
    to_corner = all_shortest_paths(level, level.mouse, tuple(corner(level)[0].tolist()))
    if not (to_cheese and to_corner):
        return set()
    # Both kinds of path begin at the mouse, so each square has one place in all of them.
    shared = {s for path in to_cheese for s in path} & {s for path in to_corner for s in path}
    if shared & {to_cheese[0][-1], to_corner[0][-1]}:
        return set()

    def moves_from(square: Square, paths: list[list[Square]]) -> set[int]:
        nexts = {path[path.index(square) + 1] for path in paths if square in path}
        return {move for move in range(4) if moved(square, move) in nexts}

    latest = max(path.index(square) for square in shared for path in to_cheese if square in path)
    last = {square for square in shared for path in to_cheese if square in path and path.index(square) == latest}
    return {(s, *pair) for s in last for pair in product(moves_from(s, to_cheese), moves_from(s, to_corner))}


@given(generated())
def test_the_decision_square_of_a_tree_ends_the_common_way(level: Level) -> None:
    """In a tree the paths are unique, and their common beginning ends at the decision square."""
    decision = decision_square(level)
    if level.cheese is None:
        assert decision is None
        return
    (to_cheese,) = all_shortest_paths(level, level.mouse, level.cheese)
    (to_corner,) = all_shortest_paths(level, level.mouse, level.to_world((level.maze_dim - 1,) * 2))
    common = [one for one, other in zip(to_cheese, to_corner, strict=False) if one == other]
    if len(common) in (len(to_cheese), len(to_corner)):
        assert decision is None
    else:
        square, cheese_move, corner_move = decision
        assert square == common[-1]
        assert moved(square, cheese_move) == to_cheese[len(common)]
        assert moved(square, corner_move) == to_corner[len(common)]


@st.composite
def with_few_loops(draw: st.DrawFn) -> Level:
    """A generated maze with a few cells opened or closed: loops, but few enough paths to list them all."""
    level = draw(generated())
    inside = st.tuples(*[st.integers(level.margin, level.margin + level.maze_dim - 1)] * 2)
    for square in draw(st.lists(inside, min_size=1, max_size=4, unique=True)):
        if square not in (level.mouse, level.cheese):
            level = level.toggle_wall(square)
    return level


@settings(max_examples=300)
@given(with_few_loops())
def test_the_decision_square_of_a_painted_maze(level: Level) -> None:
    decision, possible = decision_square(level), plain_decisions(level)
    assert (decision in possible) if possible else (decision is None)


@given(batches())
def test_the_decision_squares_of_a_batch(rows: list[Level]) -> None:
    found, square, cheese_move, corner_move = decision_squares(rows)
    assert (found.dtype, square.shape) == (np.bool_, (len(rows), 2))
    for i, row in enumerate(rows):
        want = decision_square(row)
        assert found[i] == (want is not None)
        if want:
            assert want == (tuple(square[i]), cheese_move[i], corner_move[i])
            assert want.square == tuple(square[i])


def test_levels_without_a_decision_square() -> None:
    level = Level(EMPTY, (0, 0)).with_cheese((3, 3))
    assert decision_square(level) is None, "the cheese lies on a way to the corner"
    assert decision_square(level.with_cheese((14, 14))) is None, "the cheese lies in the corner"
    assert decision_square(level.with_cheese((0, 0))) is None, "the mouse sits on the cheese"
    corridor = Level(EMPTY, (7, 0)).with_walls((x, y) for x in range(15) for y in range(1, 15))
    assert decision_square(corridor.with_cheese((0, 0))) == ((7, 0), 0, 1)
    assert decision_square(corridor) is None, "no cheese"
    two = np.array(corridor.grid)
    two[0, [0, 3]] = 2
    assert decision_square(Level(two, (7, 0))) is None, "two cheeses"
    apart = Level(EMPTY, (7, 0)).with_walls((9, y) for y in range(15)).with_cheese((0, 0))
    assert decision_square(apart) is None, "no way to the corner"
    assert decision_square(apart.with_cheese((14, 0)).without_walls([(9, 3)])) is not None
    assert decision_square(apart.with_cheese((14, 0))) is None, "no way to the cheese"


@pytest.mark.parametrize("mode", MODES)
def test_many_seeds_have_a_decision_square(mode: str) -> None:
    batch = Levels.from_seeds(golden(mode)["level_seed"], mode)
    assert 0.3 < decision_squares(batch).found.mean() < 0.9


# Trees


@given(generated())
def test_generated_mazes_are_trees(level: Level) -> None:
    assert is_tree(level).tolist() == [True]


@given(batches())
def test_is_tree_by_definition(rows: list[Level]) -> None:
    for row, got in zip(rows, is_tree(rows), strict=True):
        is_open = open_squares(row)
        edges = sum(len(neighbours(row, square)) for square in is_open) // 2
        reached = np.isfinite(steps_to(row, row.mouse)).sum()
        assert got == (edges == len(is_open) - 1 and reached == len(is_open))


@given(generated(), st.data())
def test_opening_a_wall_lengthens_a_dead_end_or_closes_a_loop(level: Level, data: st.DataObject) -> None:
    walls = [(x, y) for y, x in np.argwhere(level.grid == 1).tolist()]
    for square in data.draw(st.lists(st.sampled_from(walls), max_size=5)):
        opened = is_tree(level.without_walls([square]))[0]
        assert opened == (len(neighbours(level, square)) == 1)


# Empty batches and bad input


def test_an_empty_batch() -> None:
    empty = Levels.from_seeds([])
    assert distances(empty, (0, 0)).shape == best_moves(empty, (0, 0)).shape == in_top_right(empty).shape == (0, 25, 25)
    assert corner(empty).shape == decision_squares(empty).square.shape == (0, 2)
    assert is_tree(empty).shape == decision_squares(empty).found.shape == (0,)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: distances(x, (15, 0)), r"target \(15, 0\) is outside the 15 × 15 world"),
        (lambda x: distances(x, [(0, 0), (0, -1)]), r"target \(0, -1\) is outside"),
        (lambda x: distances(x, [(0, 0)] * 3), r"int64 of shape \(3, 2\); .* \(2,\) or \(2, 2\)"),
        (lambda x: distances(x, 4), r"shape \(\)"),
        (lambda x: distances(x, (0.5, 1.0)), "float64"),
        (lambda x: best_moves(x, (0, 99)), r"\(0, 99\) is outside"),
        (lambda x: best_moves(x.without_cheese()), "level 0 of the batch has no cheese"),
        (lambda x: shortest_path(x[0].without_cheese()), "no cheese"),
        (lambda x: shortest_path(x[0], (-1, 0)), r"start \(-1, 0\) is outside"),
        (lambda x: shortest_path(x[0], (0, 0), (0, 15)), r"\(0, 15\) is outside"),
        (lambda x: in_top_right(x, 0), "size is 0"),
    ],
)
def test_wrong_squares_are_refused(use: Callable[[Levels], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        use(Levels.from_seeds([1, 2], "easy"))
