"""Observations, bit for bit procgen's, and large pictures for people.

procgen draws 64 × 64 pixels without antialiasing, so each pixel belongs to one cell and shows what that cell
holds. `sprites.npz` is the table of every such pixel, measured from the real library (scripts/measure_sprites.py).
One thing crosses cells: a wall is drawn slightly too large and reaches into one more pixel in two columns and two
rows; there the cell drawn last wins, x outer, y inner, both ascending, and the mouse comes after all cells.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from .generation import CHEESE, WALL
from .levels import Level, Levels, LevelsLike
from .worlds import Mode, Square, world_of

SIDE = 64
"""Side of an observation in pixels."""

_WORDS = 3 * SIDE // 8
"""64-bit words in a row of pixels: the unit in which a compiled loop chooses between wall and background."""


class Sprites(NamedTuple):
    """The measured pixels of one mode. A pixel's cell is the one whose block it lies in.

    Attributes:
        columns, rows: int64 [64], the cell x of each pixel column and the cell y of each pixel row.
        reach_columns, reach_rows: int64 [64], the neighbouring cell x or y whose wall covers it too, else −1.
        reached_columns, reached_rows: int64, the pixel columns and rows that such a wall covers.
        left, top: int64 [world], a cell's first pixel column by x and first pixel row by y.
        width, height: int64 [world], its pixels across and down.
        word_cells: int64 [24, 3], the cells x that each word of a pixel row touches.
        word_parts: uint64 [24, 3], the bits of the word that belong to each of them.
        background: uint8 [9, 64, 64, 3], an all-free world.
        background_words: uint64 [9, 64, 24], the same memory.
        wall: uint8 [4, 64, 64, 3], the wall of [0] the pixel's own cell, [1] the neighbour that reaches it across,
            [2] the one up or down, [3] the diagonal one.
        wall_words: uint64 [4, 64, 24], the same memory.
        cheese: uint8 [64, 64, 4], premultiplied colour and alpha of a cheese in the pixel's cell.
        mouse: uint8 [2, 64, 64, 4], likewise, by facing (1: reflected).
    """

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    reach_columns: NDArray[np.int64]
    reach_rows: NDArray[np.int64]
    reached_columns: NDArray[np.int64]
    reached_rows: NDArray[np.int64]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]
    word_cells: NDArray[np.int64]
    word_parts: NDArray[np.uint64]
    background: NDArray[np.uint8]
    background_words: NDArray[np.uint64]
    wall: NDArray[np.uint8]
    wall_words: NDArray[np.uint64]
    cheese: NDArray[np.uint8]
    mouse: NDArray[np.uint8]


@cache
def sprites(mode: Mode) -> Sprites:
    """The measured pixels of a mode.

    Raises:
        ValueError: for an unknown mode.
    """
    cells = np.arange(world_of(mode))
    with files(__package__).joinpath("sprites.npz").open("rb") as file, np.load(file) as table:
        measured = {name: table[f"{mode}_{name}"] for name in Sprites._fields if f"{mode}_{name}" in table}
    at_column, at_row = measured["columns"] == cells[:, None], measured["rows"] == cells[:, None]
    byte_cells = np.repeat(measured["columns"], 3).reshape(_WORDS, 8)
    # A word has 8 bytes and a cell at least 6, so three cells at most: those of its first, middle and last byte.
    word_cells = byte_cells[:, [0, 4, 7]]
    parts = np.where(byte_cells[:, None] == word_cells[:, :, None], np.uint8(255), np.uint8(0))
    return Sprites(
        **measured,
        reached_columns=np.flatnonzero(measured["reach_columns"] >= 0),
        reached_rows=np.flatnonzero(measured["reach_rows"] >= 0),
        left=at_column.argmax(axis=1),
        top=at_row.argmax(axis=1),
        width=at_column.sum(axis=1),
        height=at_row.sum(axis=1),
        word_cells=word_cells,
        word_parts=np.ascontiguousarray(parts).view(np.uint64)[..., 0],
        background_words=measured["background"].reshape(-1, SIDE, 3 * SIDE).view(np.uint64),
        wall_words=measured["wall"].reshape(-1, SIDE, 3 * SIDE).view(np.uint64),
    )


@njit(cache=True, nogil=True, inline="always")
def _blend(out: NDArray[np.uint8], row: int, column: int, sprite: NDArray[np.uint8]) -> None:
    """Draws one pixel of a premultiplied sprite [64, 64, 4], with Qt's integer rounding of the product."""
    keep = 255 - np.int64(sprite[row, column, 3])
    for channel in range(3):
        product = np.int64(out[row, column, channel]) * keep
        out[row, column, channel] = np.int64(sprite[row, column, channel]) + ((product + (product >> 8) + 0x80) >> 8)


@njit(cache=True, nogil=True, inline="always")
def _wall_on_top(grid: NDArray[np.uint8], x: int, y: int, across: int, along: int) -> tuple[int, int]:
    """Of the walls that cover a pixel of cell (x, y), the one drawn last.

    Args:
        grid: uint8 [world, world].
        x: the pixel's cell's x.
        y: its y.
        across: the neighbouring x whose walls reach it, or −1.
        along: the neighbouring y whose walls reach it, or −1.

    Returns:
        When it is drawn compared with the pixel's own cell (negative: before, 0: it is that, positive: after), and
        its first index in `Sprites.wall`, −1 if there is none.
    """
    turn, kind = -SIDE * SIDE, -1
    if grid[y, x] == WALL:
        turn, kind = 0, 0
    if across >= 0 and grid[y, across] == WALL and (across - x) * SIDE > turn:
        turn, kind = (across - x) * SIDE, 1
    if along >= 0 and grid[along, x] == WALL and along - y > turn:
        turn, kind = along - y, 2
    if across >= 0 and along >= 0 and grid[along, across] == WALL and (across - x) * SIDE + along - y > turn:
        turn, kind = (across - x) * SIDE + along - y, 3
    return turn, kind


@njit(cache=True, nogil=True)
def draw_maze(out: NDArray[np.uint8], grid: NDArray[np.uint8], background: int, sprites: Sprites) -> None:
    """Draws a level without its mouse.

    Args:
        out: uint8 [64, 64, 3], overwritten.
        grid: uint8 [world, world].
        background: 0 … 8.
        sprites: those of the grid's mode.
    """
    world = grid.shape[0]
    lines = out.reshape(-1).view(np.uint64).reshape(SIDE, _WORDS)
    free, wall, wall_pixels = sprites.background_words[background], sprites.wall_words, sprites.wall
    cells, parts = sprites.word_cells, sprites.word_parts
    mask = np.empty(world, np.uint64)
    is_wall = np.empty((world, _WORDS), np.uint64)  # the bits of each pixel row that show a wall
    cheeses = 0
    for y in range(world):
        for x in range(world):
            mask[x] = np.uint64(0xFFFFFFFFFFFFFFFF) if grid[y, x] == WALL else np.uint64(0)
            cheeses += grid[y, x] == CHEESE
        for word in range(_WORDS):
            is_wall[y, word] = (
                (mask[cells[word, 0]] & parts[word, 0])
                | (mask[cells[word, 1]] & parts[word, 1])
                | (mask[cells[word, 2]] & parts[word, 2])
            )
        for row in range(sprites.top[y], sprites.top[y] + sprites.height[y]):
            for word in range(_WORDS):
                lines[row, word] = free[row, word] ^ ((free[row, word] ^ wall[0, row, word]) & is_wall[y, word])
    for row in sprites.reached_rows:
        y, along = sprites.rows[row], sprites.reach_rows[row]
        for word in range(_WORDS):
            shown = is_wall[along, word] if along > y else is_wall[along, word] & ~is_wall[y, word]
            lines[row, word] ^= (lines[row, word] ^ wall[2, row, word]) & shown
    for column in sprites.reached_columns:
        x, across = sprites.columns[column], sprites.reach_columns[column]
        for y in range(world):
            if grid[y, across] == WALL and (across > x or grid[y, x] != WALL):
                for row in range(sprites.top[y], sprites.top[y] + sprites.height[y]):
                    for channel in range(3):
                        out[row, column, channel] = wall_pixels[1, row, column, channel]
        for row in sprites.reached_rows:  # four cells meet here
            _, kind = _wall_on_top(grid, x, sprites.rows[row], across, sprites.reach_rows[row])
            if kind >= 0:
                for channel in range(3):
                    out[row, column, channel] = wall_pixels[kind, row, column, channel]
    if cheeses:
        for y in range(world):
            for x in range(world):
                if grid[y, x] == CHEESE:
                    for row in range(sprites.top[y], sprites.top[y] + sprites.height[y]):
                        for column in range(sprites.left[x], sprites.left[x] + sprites.width[x]):
                            turn, _ = _wall_on_top(grid, x, y, sprites.reach_columns[column], sprites.reach_rows[row])
                            if turn < 0:
                                _blend(out, row, column, sprites.cheese)


@njit(cache=True, nogil=True)
def draw_mouse(out: NDArray[np.uint8], x: int, y: int, reflected: bool, sprites: Sprites) -> None:
    """Draws the mouse over a drawn maze.

    Args:
        out: uint8 [64, 64, 3], changed where the mouse is.
        x: its square's x.
        y: its square's y.
        reflected: whether its sprite is mirrored.
        sprites: those of the mode.
    """
    sprite = sprites.mouse[1 if reflected else 0]
    for row in range(sprites.top[y], sprites.top[y] + sprites.height[y]):
        for column in range(sprites.left[x], sprites.left[x] + sprites.width[x]):
            _blend(out, row, column, sprite)


@njit(cache=True, nogil=True)
def _observe(
    out: NDArray[np.uint8],
    grid: NDArray[np.uint8],
    mouse: NDArray[np.int64],
    background: NDArray[np.uint8],
    reflected: NDArray[np.bool_],
    sprites: Sprites,
) -> None:
    for i in range(len(grid)):
        draw_maze(out[i], grid[i], background[i], sprites)
        draw_mouse(out[i], mouse[i, 0], mouse[i, 1], reflected[i], sprites)


def observe(levels: LevelsLike) -> NDArray[np.uint8]:
    """What the policy sees: procgen's picture of each level, bit for bit.

    Args:
        levels: Levels, a Level or a sequence of Level; any walls, any number of cheeses.

    Returns:
        uint8 [n, 64, 64, 3], RGB, the top row first; a new array.

    >>> observe(Level.from_seed(0)).shape
    (1, 64, 64, 3)
    """
    batch = Levels.stack(levels)
    out = np.empty((len(batch), SIDE, SIDE, 3), np.uint8)
    _observe(out, batch.grid, batch.mouse, batch.background, batch.reflected, sprites(batch.mode))
    return out


# Pictures for people

OPEN_COLOUR, WALL_COLOUR, EDGE_COLOUR = (250, 247, 240), (70, 80, 96), (47, 55, 69)
PATH_COLOUR = (0, 114, 178)  # the blue of Okabe and Ito's palette, which colour-blind people tell from the rest

_TILE = 120
"""Side in pixels at which icons are drawn before they are scaled to a cell."""

_SHEET_LEVELS, _SHEET_COLUMNS, _SHEET_SIZE, _SHEET_GAP = 36, 6, 200, 8


def _icon(
    shapes: list[tuple[str, tuple[int, int, int], list[tuple[float, float]], float]],
) -> NDArray[np.uint8]:
    """A tile [120, 120, 4] of filled shapes, ("disc", colour, [centre], radius) or ("polygon", colour, corners, 0)."""
    tile = np.zeros((_TILE, _TILE, 4), np.uint8)
    for kind, colour, points, radius in shapes:
        pixels = (np.array(points) * _TILE * 16).astype(np.int32)  # cv2 takes 1/16 pixels with shift=4
        if kind == "disc":
            cv2.circle(tile, pixels[0].tolist(), int(radius * _TILE * 16), (*colour, 255), -1, cv2.LINE_AA, 4)
        else:
            cv2.fillPoly(tile, [pixels], (*colour, 255), cv2.LINE_AA, 4)
    return tile


@cache
def icons() -> dict[str, NDArray[np.uint8]]:
    """The mouse and the cheese of pictures for people, by name: uint8 [120, 120, 4], premultiplied colour and alpha."""
    dark, grey, pink = (61, 64, 74), (139, 146, 160), (240, 160, 170)
    rind, cheese, hole = (222, 146, 20), (255, 202, 40), (235, 165, 20)
    return {
        "cheese": _icon(
            [
                ("polygon", rind, [(0.06, 0.62), (0.94, 0.30), (0.94, 0.86), (0.06, 0.86)], 0),
                ("polygon", cheese, [(0.06, 0.60), (0.60, 0.14), (0.94, 0.28)], 0),
                ("polygon", cheese, [(0.10, 0.64), (0.90, 0.36), (0.90, 0.82), (0.10, 0.82)], 0),
                ("disc", hole, [(0.34, 0.70)], 0.075),
                ("disc", hole, [(0.60, 0.62)], 0.10),
                ("disc", hole, [(0.78, 0.74)], 0.055),
            ]
        ),
        "mouse": _icon(
            [
                ("disc", dark, [(0.24, 0.30)], 0.20),
                ("disc", dark, [(0.76, 0.30)], 0.20),
                ("disc", pink, [(0.24, 0.30)], 0.12),
                ("disc", pink, [(0.76, 0.30)], 0.12),
                ("disc", dark, [(0.50, 0.58)], 0.38),
                ("disc", grey, [(0.50, 0.58)], 0.33),
                ("disc", (255, 255, 255), [(0.37, 0.50)], 0.085),
                ("disc", (255, 255, 255), [(0.63, 0.50)], 0.085),
                ("disc", dark, [(0.37, 0.51)], 0.05),
                ("disc", dark, [(0.63, 0.51)], 0.05),
                ("disc", pink, [(0.50, 0.72)], 0.075),
            ]
        ),
    }


def picture(level: Level, size: int = 500, path: Sequence[Square] = ()) -> NDArray[np.uint8]:
    """A large picture of a level for people: drawn shapes, not the policy's pixels.

    Args:
        level: the level.
        size: side of the picture in pixels, ≥ the world's side in cells.
        path: squares to join by a line, in their order.

    Returns:
        uint8 [size, size, 3], RGB, the top row first.

    Raises:
        ValueError: if there is not a pixel for each cell.
    """
    if size < level.world:
        raise ValueError(f"size is {size}; a picture of {level.world} cells a side needs at least {level.world} pixels")
    cell = max(8, 2 * -(-size // level.world))  # drawn at twice the size, then scaled down: smooth edges
    wall = np.kron(level.grid[::-1] == WALL, np.ones((cell, cell), bool))
    image = np.where(wall[..., None], np.array(WALL_COLOUR, np.uint8), np.array(OPEN_COLOUR, np.uint8))
    edge = cv2.morphologyEx(wall.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).astype(bool)
    image[edge] = EDGE_COLOUR
    if path:
        centres = np.array([(x + 0.5, level.world - y - 0.5) for x, y in path]) * cell
        cv2.polylines(image, [np.rint(centres).astype(np.int32)], False, PATH_COLOUR, cell // 5, cv2.LINE_AA)
    for name, squares in (("cheese", level.cheeses), ("mouse", (level.mouse,))):
        icon = cv2.resize(icons()[name], (cell, cell), interpolation=cv2.INTER_AREA).astype(np.float64)
        alpha = icon[..., 3:] / 255
        for x, y in squares:
            row, column = (level.world - 1 - y) * cell, x * cell
            place = image[row : row + cell, column : column + cell]
            place[:] = np.rint(icon[..., :3] + (1 - alpha) * place)
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def sheet(levels: LevelsLike) -> NDArray[np.uint8]:
    """One picture of the first 36 levels of a batch, six a row.

    Returns:
        uint8 [height, width, 3], RGB.

    Raises:
        ValueError: if the batch is empty.
    """
    shown = [picture(level, _SHEET_SIZE) for level in Levels.stack(levels)[:_SHEET_LEVELS]]
    if not shown:
        raise ValueError("there is no level to draw; the batch is empty")
    columns = min(_SHEET_COLUMNS, len(shown))
    pitch = _SHEET_SIZE + _SHEET_GAP
    rows = -(-len(shown) // columns)
    out = np.full((rows * pitch - _SHEET_GAP, columns * pitch - _SHEET_GAP, 3), 255, np.uint8)
    for i, image in enumerate(shown):
        row, column = i // columns * pitch, i % columns * pitch
        out[row : row + _SHEET_SIZE, column : column + _SHEET_SIZE] = image
    return out


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """An RGB picture, uint8 [height, width, 3], as a PNG file's bytes."""
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()
