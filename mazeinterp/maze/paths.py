"""Distances, shortest paths, the corner, the top-right region and the decision square, for batches of levels."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from .generation import CHEESE, WALL
from .levels import Level, Levels, LevelsLike
from .worlds import Square, square_of

MOVES = ("left", "right", "up", "down", "stay")
"""What an action does; everywhere that moves are numbered, this is their order."""

MOVE_STEPS = np.array([(-1, 0), (1, 0), (0, 1), (0, -1), (0, 0)])
"""int64 [5, 2]: (dx, dy) of each move."""

ACTION_MOVE = np.array([0, 0, 0, 3, 4, 2, 1, 1, 1, 4, 4, 4, 4, 4, 4])
"""int64 [15]: the move that each of procgen's actions makes."""

MOVE_ACTION = np.array([1, 7, 5, 3, 4])
"""int64 [5]: one action for each move: the one without a diagonal."""


@njit(cache=True, nogil=True)
def fill_distances(grid: NDArray[np.uint8], x: int, y: int, out: NDArray[np.int32]) -> None:
    """Steps to (x, y) from every square, by breadth-first search.

    Args:
        grid: uint8 [world, world].
        x: the target square's x.
        y: its y. From a wall nothing is reached.
        out: int32 [world, world], overwritten: steps, −1 in walls and where there is no way.
    """
    world = grid.shape[0]
    out[:] = -1
    if grid[y, x] == WALL:
        return
    queue = np.empty(world * world, np.int32)
    queue[0] = y * world + x
    out[y, x] = 0
    head, tail = 0, 1
    while head < tail:
        here_y, here_x = divmod(queue[head], world)
        head += 1
        for dx, dy in ((-1, 0), (1, 0), (0, 1), (0, -1)):
            next_x, next_y = here_x + dx, here_y + dy
            if 0 <= next_x < world and 0 <= next_y < world and grid[next_y, next_x] != WALL and out[next_y, next_x] < 0:
                out[next_y, next_x] = out[here_y, here_x] + 1
                queue[tail] = next_y * world + next_x
                tail += 1


@njit(cache=True, nogil=True)
def _distances(grids: NDArray[np.uint8], targets: NDArray[np.int64], out: NDArray[np.int32]) -> None:
    for i in range(len(grids)):
        fill_distances(grids[i], targets[i, 0], targets[i, 1], out[i])


def distances(levels: LevelsLike, targets: ArrayLike) -> NDArray[np.int32]:
    """Steps from every square to a target square in each level.

    Args:
        levels: Levels, a Level or a sequence of Level.
        targets: int [n, 2] squares (x, y), or one square for all.

    Returns:
        int32 [n, world, world], indexed [level, y, x]: steps, −1 in walls and where there is no way.

    Raises:
        ValueError: if a target lies outside the world, or they are of a wrong type or number.
    """
    batch = Levels.stack(levels)
    array = np.asarray(targets)
    if array.shape not in {(2,), (len(batch), 2)} or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"targets are {array.dtype} of shape {array.shape}; integers are needed, of shape (2,) or ({len(batch)}, 2)"
        )
    outside = ((array < 0) | (array >= batch.world)).any(axis=-1)
    if outside.any():
        raise ValueError(
            f"target {square_of(array.reshape(-1, 2)[np.argmax(outside)])} is outside "
            f"the {batch.world} × {batch.world} world"
        )
    out = np.empty(batch.grid.shape, np.int32)
    _distances(batch.grid, np.broadcast_to(array.astype(np.int64), (len(batch), 2)), out)
    return out


def best_moves(levels: LevelsLike, targets: ArrayLike | None = None) -> NDArray[np.uint8]:
    """The moves that shorten the way to a target, at every square.

    Args:
        levels: Levels, a Level or a sequence of Level.
        targets: int [n, 2] squares, or one square for all; by default each level's cheese.

    Returns:
        uint8 [n, world, world], indexed [level, y, x], a bit mask: bit m is set where `MOVES[m]` shortens the way.
        0 at the target, in walls and where there is no way.

    Raises:
        ValueError: as `distances`; by default also if a level has not exactly one cheese.
    """
    batch = Levels.stack(levels)
    steps = distances(batch, _the_cheeses(batch) if targets is None else targets)
    padded = np.pad(steps, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    world, masks = batch.world, np.zeros(steps.shape, np.uint8)
    for move, (dx, dy) in enumerate(MOVE_STEPS[:4]):
        there = padded[:, 1 + dy : 1 + dy + world, 1 + dx : 1 + dx + world]
        masks |= ((there >= 0) & (there == steps - 1)).astype(np.uint8) << np.uint8(move)
    return masks


def shortest_path(level: Level, start: Square | None = None, goal: Square | None = None) -> list[Square] | None:
    """A shortest path, its start and goal included; the only one in a tree, else the first by the order of `MOVES`.

    Args:
        level: the level.
        start: a square, by default the mouse's.
        goal: a square, by default the cheese's.

    Returns:
        The squares from start to goal; None if there is no way.

    Raises:
        ValueError: if a square is outside the world, or there is not exactly one cheese and no goal is given.
    """
    end = square_of(_the_cheeses(Levels.stack(level))[0]) if goal is None else square_of(np.asarray(goal))
    x, y = level.mouse if start is None else start
    steps = distances(level, end)[0]
    if not (0 <= x < level.world and 0 <= y < level.world):
        raise ValueError(f"start {(x, y)} is outside the {level.world} × {level.world} world")
    if steps[y, x] < 0:
        return None
    moves = best_moves(level, end)[0]
    path = [(x, y)]
    while path[-1] != end:
        x, y = path[-1]
        dx, dy = MOVE_STEPS[_first_move(moves[y, x])].tolist()
        path.append((x + dx, y + dy))
    return path


def corner(levels: LevelsLike) -> NDArray[np.int64]:
    """The corner: the maze's top-right cell, or where that is a wall, the open square nearest to it.

    In a generated level the cell is always open. A grid of one's own has the world's top-right cell in its place.
    Nearest means by Euclidean distance, then the highest y.

    Args:
        levels: Levels, a Level or a sequence of Level.

    Returns:
        int64 [n, 2], squares (x, y).
    """
    batch = Levels.stack(levels)
    top_right = _top_right(batch)
    y, x = np.mgrid[: batch.world, : batch.world]
    squared = (x - top_right[:, None, None]) ** 2 + (y - top_right[:, None, None]) ** 2
    # Distances first, then y: no squared distance differs by less than 1, and y / world is below 1.
    rank = np.where(batch.grid == WALL, np.inf, squared - y / batch.world).reshape(len(batch), batch.world**2)
    row, column = np.divmod(rank.argmin(axis=1), batch.world)
    return np.stack([column, row], axis=1)


def in_top_right(levels: LevelsLike, size: int = 5) -> NDArray[np.bool_]:
    """The open squares among the maze's top-right size × size cells (the published "5×5").

    Args:
        levels: Levels, a Level or a sequence of Level.
        size: side of the region in cells, ≥ 1.

    Returns:
        bool [n, world, world], indexed [level, y, x].

    Raises:
        ValueError: if size is below 1.
    """
    if size < 1:
        raise ValueError(f"size is {size}; a region has at least one cell")
    batch = Levels.stack(levels)
    low, high = _top_right(batch) - size, _top_right(batch)
    cells = np.arange(batch.world)
    within = (cells > low[:, None]) & (cells <= high[:, None])
    return within[:, :, None] & within[:, None, :] & (batch.grid != WALL)


class Decision(NamedTuple):
    """Where the ways to cheese and corner part.

    Attributes:
        square: the decision square (x, y).
        cheese_move: index in `MOVES` of the move towards the cheese.
        corner_move: index in `MOVES` of the move towards the corner.
    """

    square: Square
    cheese_move: int
    corner_move: int


class Decisions(NamedTuple):
    """The decision squares of a batch; a row counts where `found` is true.

    Attributes:
        found: bool [n].
        square: int64 [n, 2].
        cheese_move: int64 [n], index in `MOVES`.
        corner_move: int64 [n], index in `MOVES`.
    """

    found: NDArray[np.bool_]
    square: NDArray[np.int64]
    cheese_move: NDArray[np.int64]
    corner_move: NDArray[np.int64]


def decision_squares(levels: LevelsLike) -> Decisions:
    """The decision square of each level: the last square that the ways to cheese and corner share (arXiv 2310.08043).

    It is the last one that shortest paths mouse → cheese and mouse → corner have in common.

    There is none if cheese or corner lies on the other's path, if either is out of reach, or if there is not exactly
    one cheese. With loops in a painted maze, the last square that *some* two shortest paths share.

    Args:
        levels: Levels, a Level or a sequence of Level, the mouse at its start.
    """
    batch = Levels.stack(levels)
    n, rows = len(batch), np.arange(len(batch))
    corners = corner(batch)
    is_cheese = (batch.grid == CHEESE).reshape(n, batch.world**2)
    one_cheese = is_cheese.sum(axis=1) == 1
    cheese_y, cheese_x = np.divmod(is_cheese.argmax(axis=1), batch.world)
    cheeses = np.stack([cheese_x, cheese_y], axis=1)
    walked, to_cheese, to_corner = (distances(batch, targets) for targets in (batch.mouse, cheeses, corners))

    def at(steps: NDArray[Any], squares: NDArray[np.int64]) -> NDArray[Any]:
        return steps[rows, squares[:, 1], squares[:, 0]]

    cheese_steps, corner_steps = at(walked, cheeses), at(walked, corners)
    shared = (walked + to_cheese == cheese_steps[:, None, None]) & (walked + to_corner == corner_steps[:, None, None])
    shared &= (walked >= 0) & (to_cheese >= 0) & (to_corner >= 0)
    last_y, last_x = np.divmod(np.where(shared, walked, -1).reshape(is_cheese.shape).argmax(axis=1), batch.world)
    square = np.stack([last_x, last_y], axis=1)
    found = one_cheese & (cheese_steps >= 0) & (corner_steps >= 0)
    found &= (square != cheeses).any(axis=1) & (square != corners).any(axis=1)
    moves = [_first_move(at(best_moves(batch, targets), square)) for targets in (cheeses, corners)]
    return Decisions(found, square, *moves)


def decision_square(level: Level) -> Decision | None:
    """The decision square of one level and the two moves that start its branches, None if it has none."""
    found, square, cheese_move, corner_move = decision_squares(level)
    return Decision(square_of(square[0]), int(cheese_move[0]), int(corner_move[0])) if found[0] else None


def is_tree(levels: LevelsLike) -> NDArray[np.bool_]:
    """Whether the open squares of each level form a tree: connected, and one way between any two.

    Returns:
        bool [n].
    """
    batch = Levels.stack(levels)
    is_open = batch.grid != WALL
    edges = (is_open[:, 1:] & is_open[:, :-1]).sum(axis=(1, 2)) + (is_open[:, :, 1:] & is_open[:, :, :-1]).sum(
        axis=(1, 2)
    )
    connected = ((distances(batch, batch.mouse) >= 0) == is_open).all(axis=(1, 2))
    return connected & (edges == is_open.sum(axis=(1, 2)) - 1)


def _the_cheeses(levels: Levels) -> NDArray[np.int64]:
    cheeses = levels.cheese
    if (cheeses < 0).any():
        raise ValueError(
            f"level {int(np.argmax(cheeses[:, 0] < 0))} of the batch has no cheese, and exactly one is needed"
        )
    return cheeses


def _top_right(levels: Levels) -> NDArray[np.int64]:
    """The coordinate, x and y alike, of the maze's top-right cell: int64 [n]."""
    return np.where(levels.maze_dim > 0, (levels.world + levels.maze_dim) // 2, levels.world) - 1


def _first_move(masks: NDArray[np.uint8] | np.uint8) -> NDArray[np.int64]:
    """Index in `MOVES` of the lowest bit that is set; 0 where none is."""
    return np.argmax((np.asarray(masks)[..., None] >> np.arange(4)) & 1, axis=-1)
