"""procgen's maze generator: the 32-bit Mersenne twister and Kruskal's spanning tree, as compiled kernels.

Works on plain arrays, so that levels, environments and training share one generator; `mazeinterp.maze.levels`
wraps it in values. The order of the random draws is the specification (docs/definitions.md, "A level from its
seed"): change it and no seed gives procgen's level any more.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

FREE, WALL, CHEESE = 0, 1, 2
BACKGROUNDS = 9
STOCK_PLACEMENT = -1
"""The `region` that stands for procgen's own placement of the cheese, in kernels that take an int."""

_N, _M = 624, 397  # the twister's state size and middle word (Matsumoto and Nishimura 1998)
TWISTER_WORDS = _N + 1
"""Size of a twister: its 624 words and the index of the next one."""


@njit(cache=True, nogil=True)
def seed_twister(twister: NDArray[np.uint32], seed: int | np.int64) -> None:
    """Seeds a twister as `std::mt19937` does.

    Args:
        twister: uint32 [625], overwritten.
        seed: the seed, taken modulo 2³².
    """
    word = np.uint32(seed)
    twister[0] = word
    for i in range(1, _N):
        word = np.uint32(np.uint32(1812433253) * (word ^ (word >> np.uint32(30))) + np.uint32(i))
        twister[i] = word
    twister[_N] = _N


@njit(cache=True, nogil=True)
def draw(twister: NDArray[np.uint32]) -> np.uint32:
    """The twister's next 32-bit draw.

    Args:
        twister: uint32 [625], advanced by one draw.
    """
    if twister[_N] == _N:
        for i in range(_N):
            after = twister[i + 1] if i + 1 < _N else twister[0]
            middle = twister[i + _M] if i + _M < _N else twister[i + _M - _N]
            y = (twister[i] & np.uint32(0x80000000)) | (after & np.uint32(0x7FFFFFFF))
            odd = np.uint32(0x9908B0DF) if y & np.uint32(1) else np.uint32(0)
            twister[i] = middle ^ (y >> np.uint32(1)) ^ odd
        twister[_N] = 0
    y = twister[twister[_N]]
    twister[_N] += np.uint32(1)
    y ^= y >> np.uint32(11)
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    return np.uint32(y ^ (y >> np.uint32(18)))


@njit(cache=True, nogil=True)
def _randn(twister: NDArray[np.uint32], n: int) -> np.int64:
    return np.int64(draw(twister)) % n


@njit(cache=True, nogil=True)
def _root(parents: NDArray[np.int32], cell: np.int64) -> np.int64:
    while parents[cell] != cell:
        parents[cell] = parents[parents[cell]]
        cell = parents[cell]
    return cell


@njit(cache=True, nogil=True)
def carve(
    twister: NDArray[np.uint32], maze_dim: int | np.int64, grid: NDArray[np.uint8], free: NDArray[np.int32]
) -> int:
    """Carves a random spanning tree in the middle of a grid of walls, by Kruskal's algorithm.

    procgen relabels every cell of a joined component; sets merged by union–find hold the same cells, so the
    same walls fall in the same order.

    Args:
        twister: uint32 [625], advanced.
        maze_dim: side of the maze in cells, odd.
        grid: uint8 [world, world], overwritten: 0 free, 1 wall.
        free: int32 [≥ maze_dim²], overwritten: the free cells in the order of their freeing, as
            maze_dim · y + x in the maze's own coordinates.

    Returns:
        The number of free cells.
    """
    margin = (grid.shape[0] - maze_dim) // 2
    grid[:] = WALL
    walls = np.empty(maze_dim * maze_dim, np.int16)
    parents = np.empty(maze_dim * maze_dim, np.int32)
    for cell in range(maze_dim * maze_dim):
        parents[cell] = cell
    remaining = 0
    for first, second in ((1, 0), (0, 1)):
        for x in range(first, maze_dim, 2):
            for y in range(second, maze_dim, 2):
                walls[remaining] = maze_dim * y + x
                remaining += 1
    count = 0
    while remaining:
        choice = _randn(twister, remaining)
        middle = np.int64(walls[choice])
        remaining -= 1
        for i in range(choice, remaining):
            walls[i] = walls[i + 1]
        step = 1 if middle % maze_dim % 2 else maze_dim
        one, two = middle - step, middle + step
        root_one, root_two = _root(parents, one), _root(parents, two)
        if root_one == root_two:
            continue
        parents[root_one] = root_two
        for freed in (one, middle, two):
            y, x = margin + freed // maze_dim, margin + freed % maze_dim
            if grid[y, x] == WALL:
                grid[y, x] = FREE
                free[count] = freed
                count += 1
    return count


@njit(cache=True, nogil=True)
def place_cheese(
    twister: NDArray[np.uint32],
    maze_dim: int | np.int64,
    region: int,
    grid: NDArray[np.uint8],
    free: NDArray[np.int32],
    count: int,
) -> None:
    """Puts the cheese into a carved maze, as procgen does or as `maze_aisc` does (arXiv 2105.14111).

    Args:
        twister: uint32 [625], advanced.
        maze_dim: side of the maze in cells.
        region: -1 for procgen's own placement (any free cell but the start); 0 for the maze's top-right cell;
            n > 0 for a random free cell among the top-right n × n. `maze_aisc` tries 100 · maze_dim times and
            then leaves the maze without cheese.
        grid: uint8 [world, world], changed in one cell at most.
        free: int32 [count …], the free cells in the order of their freeing.
        count: their number.
    """
    margin = (grid.shape[0] - maze_dim) // 2
    cell = np.int64(0)
    if region == STOCK_PLACEMENT:
        while cell == 0:
            cell = np.int64(free[_randn(twister, count)])
    elif region == 0:
        cell = np.int64(maze_dim * maze_dim - 1)
    else:
        low = maze_dim - min(region, maze_dim)
        draw(twister)
        for _ in range(100 * maze_dim):
            tried = np.int64(free[_randn(twister, count)])
            if tried != 0 and tried % maze_dim >= low and tried // maze_dim >= low:
                cell = tried
                break
        if cell == 0:
            return
    grid[margin + cell // maze_dim, margin + cell % maze_dim] = CHEESE


@njit(cache=True, nogil=True)
def generate_level(
    seed: int | np.int64, region: int, grid: NDArray[np.uint8], twister: NDArray[np.uint32], free: NDArray[np.int32]
) -> tuple[np.int64, np.int64]:
    """Generates one level from its seed; the mouse starts at (margin, margin), which is always free.

    Args:
        seed: level seed in [0, 2³¹).
        region: where the cheese may lie, as in `place_cheese`.
        grid: uint8 [world, world], overwritten: 0 free, 1 wall, 2 cheese; its size is the mode's world.
        twister: uint32 [625], scratch.
        free: int32 [≥ world²], scratch.

    Returns:
        (background, maze_dim).
    """
    seed_twister(twister, seed)
    draw(twister)  # the background's offset: it has no visible effect
    background = _randn(twister, BACKGROUNDS)
    maze_dim = 2 * _randn(twister, (grid.shape[0] - 1) // 2) + 3
    count = carve(twister, maze_dim, grid, free)
    place_cheese(twister, maze_dim, region, grid, free, count)
    return background, maze_dim


@njit(cache=True, nogil=True)
def generate_levels(
    seeds: NDArray[np.int64],
    region: int,
    grids: NDArray[np.uint8],
    backgrounds: NDArray[np.uint8],
    maze_dims: NDArray[np.int64],
) -> None:
    """Generates a batch of levels from their seeds.

    Args:
        seeds: int64 [n], each in [0, 2³¹).
        region: where the cheese may lie, as in `place_cheese`.
        grids: uint8 [n, world, world], overwritten.
        backgrounds: uint8 [n], overwritten.
        maze_dims: int64 [n], overwritten.
    """
    twister = np.empty(TWISTER_WORDS, np.uint32)
    free = np.empty(grids.shape[1] * grids.shape[2], np.int32)
    for i in range(seeds.shape[0]):
        backgrounds[i], maze_dims[i] = generate_level(seeds[i], region, grids[i], twister, free)
