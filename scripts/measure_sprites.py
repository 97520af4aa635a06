"""Measure the sprites of procgen's maze from the real library.

procgen draws without antialiasing, so what a pixel shows depends on the cells whose pictures cover it, the
mouse, the background and the pixel's place, and on nothing else. This script sets states, looks at the
observations and writes `mazeinterp/maze/sprites.npz`, for each mode (prefix "hard_" or "easy_"):

    columns, rows              int64 [64]            cell x or y that owns each; row 0 is the top
    reach_columns, reach_rows  int64 [64]            neighbouring cell whose wall covers it too, else -1
    background                 uint8 [9, 64, 64, 3]  the world all free
    wall                       uint8 [4, 64, 64, 3]  the wall of [0] the pixel's own cell, [1] the cell that
                                                     reaches it across, [2] up or down, [3] diagonally
    cheese                     uint8 [64, 64, 4]     premultiplied colour and alpha, in the pixel's own cell
    mouse                      uint8 [2, 64, 64, 4]  likewise, by facing (1: reflected)

Cells are painted x outer, y inner, both ascending, then the mouse. Paint over a pixel d makes it, in each
channel, paint + scale(d, 255 - alpha), in Qt's arithmetic (`scale` below). Everything that can lie under or
over a pixel is predicted from the table and compared with the library; a difference ends it with an error.

Run it with: python scripts/measure_sprites.py
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mazeinterp.maze.procgen import MazeState, ProcgenMazes
from mazeinterp.maze.worlds import MODES, Mode

TABLE = Path(__file__).parents[1] / "mazeinterp" / "maze" / "sprites.npz"
SIDE = 64
BACKGROUNDS = 9
FREE, WALL, CHEESE = 100, 51, 2  # procgen's own numbers
NOWHERE = (-10, -10)  # a mouse here is outside the picture

Pixels = NDArray[np.uint8]
PIXEL_ROWS, PIXEL_COLUMNS = np.mgrid[:SIDE, :SIDE]


class Camera:
    """Photographs any grid, mouse and background with the real library.

    Attributes:
        world: side of the world in cells.
        classes: int [world, world], every cell's class, 0 to 3, by the parity of its x and y. A class is a
            quarter of the cells, no two of them neighbours; the cell that reaches a pixel of class q
            by slot s (1 across, 2 up or down, 3 diagonally) is of class q ^ s.
    """

    def __init__(self, mode: Mode) -> None:
        """Make one environment, whose state serves as the template."""
        self.world = MODES[mode]
        self.pictures = 0
        ys, xs = np.mgrid[: self.world, : self.world]
        self.classes = xs % 2 + 2 * (ys % 2)
        self._mazes = ProcgenMazes(1, mode)
        self._template = MazeState.parse(self._mazes.get_state(0))

    def photograph(
        self,
        grid: NDArray[np.int64],
        mouse: tuple[int, int] = NOWHERE,
        reflected: bool = False,
        backgrounds: Iterable[int] = range(BACKGROUNDS),
    ) -> Pixels:
        """Pictures of a grid.

        Args:
            grid: int [world, world], grid[y, x] in procgen's numbers.
            mouse: its square (x, y).
            reflected: its facing.
            backgrounds: k of them.

        Returns:
            uint8 [k, 64, 64, 3], one picture a background.
        """
        x, y = mouse
        fields = {"grid": grid.ravel(), "mouse_x": x + 0.5, "mouse_y": y + 0.5, "mouse_reflected": reflected}
        state = self._template.replace(**fields)
        pictures = []
        for background in backgrounds:
            self._mazes.set_state(0, state.replace(background=background))
            pictures.append(self._mazes.observe()[1][0])
        self.pictures += len(pictures)
        return np.stack(pictures)

    def grid(self, contents: Sequence[int]) -> NDArray[np.int64]:
        """The grid with these contents, by class: int [world, world]."""
        return np.asarray(contents)[self.classes]


class Painters:
    """The cells that paint each pixel, by slot: its own; those that reach it across, up or down, diagonally.

    Attributes:
        columns, rows, reach_columns, reach_rows: int64 [64], as in the table.
        x, y: int64 [4, 64, 64], the cells.
        exists: bool [4, 64, 64].
        turn: int64 [4, 64, 64], when each cell is painted.
    """

    def __init__(self, covers: NDArray[np.bool_]) -> None:
        """Derive them from covers, bool [world, world, 64, 64]: the pixels that the wall at [y, x] covers."""
        world = len(covers)
        self.columns = (2 * np.arange(SIDE) + 1) * world // (2 * SIDE)  # where the pixel's centre lies
        self.rows = self.columns[::-1].copy()
        self.reach_columns = self._reach(self.columns, np.any(covers, axis=(0, 2)))
        self.reach_rows = self._reach(self.rows, np.any(covers, axis=(1, 3)))
        x, y = np.meshgrid(self.columns, self.rows)
        reach_x, reach_y = np.meshgrid(self.reach_columns, self.reach_rows)
        self.x, self.y = np.stack([x, reach_x, x, reach_x]), np.stack([y, y, reach_y, reach_y])
        self.exists = (self.x >= 0) & (self.y >= 0)
        self.turn = self.x * world + self.y
        covered = covers[self.y, self.x, PIXEL_ROWS, PIXEL_COLUMNS]
        check((covered | ~self.exists).all(), "a wall is no full rectangle")
        check(covers.sum() == self.exists.sum(), "a wall reaches further than one line of pixels")

    @staticmethod
    def _reach(owner: NDArray[np.int64], covers: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The other cell whose wall covers each line of pixels, else -1; covers: bool [world, 64]."""
        others = covers.copy()
        others[owner, np.arange(SIDE)] = False
        check(others.sum(axis=0).max() == 1, "not exactly one neighbour reaches a pixel")
        return np.where(others.any(axis=0), others.argmax(axis=0), -1)


def check(holds: bool | np.bool_, finding: str) -> None:
    """Raise RuntimeError with what was found, unless it holds."""
    if not holds:
        raise RuntimeError(f"the library does not draw as this script supposes: {finding}")


def scale(colour: NDArray[np.int64], factor: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Qt's rounding of colour x factor / 255."""
    product = colour * factor
    return (product + (product >> 8) + 128) >> 8


def over(paint: Pixels, under: Pixels) -> Pixels:
    """Paint [..., 4], premultiplied colour and alpha, over opaque pixels [..., 3]."""
    wide = paint.astype(np.int64)
    return (wide[..., :3] + scale(under.astype(np.int64), 255 - wide[..., 3:])).astype(np.uint8)


def solve_paint(under: Pixels, seen: Pixels) -> Pixels:
    """The paint that turns each `under` into `seen`.

    Where several do, transparent and opaque go first, then the least alpha; here all look the same.

    Args:
        under: uint8 [k, 64, 64, 3], k underlays for each pixel.
        seen: uint8 [k, 64, 64, 3].

    Returns:
        uint8 [64, 64, 4], premultiplied colour and alpha.

    Raises:
        RuntimeError: if no paint explains all k at some pixel.
    """
    paint = np.zeros((SIDE, SIDE, 4), np.uint8)
    rows, columns = PIXEL_ROWS.ravel(), PIXEL_COLUMNS.ravel()  # those still to be explained
    for alpha in (0, 255, *range(1, 255)):
        before, after = (pictures[:, rows, columns].astype(np.int64) for pictures in (under, seen))
        colours = after - scale(before, 255 - alpha)
        colour = colours[0]
        fits = ((colours == colour).all(axis=0) & (colour >= 0) & (colour <= alpha)).all(axis=1)
        paint[rows[fits], columns[fits], :3] = colour[fits]
        paint[rows[fits], columns[fits], 3] = alpha
        rows, columns = rows[~fits], columns[~fits]
    check(len(rows) == 0, f"no paint explains the pixels in rows {rows}, columns {columns}")
    return paint


def measure_walls(camera: Camera, background: Pixels) -> tuple[Painters, Pixels]:
    """Who paints each pixel, and the walls by slot, uint8 [4, 64, 64, 3], from one wall at a time."""
    walls = np.zeros((camera.world, camera.world, SIDE, SIDE, 3), np.uint8)
    covers = np.zeros(walls.shape[:-1], np.bool_)
    for x, y in product(range(camera.world), repeat=2):
        grid = np.full_like(camera.classes, FREE)
        grid[y, x] = WALL
        seen = camera.photograph(grid)
        walls[y, x], covers[y, x] = seen[0], (seen != background).any(axis=(0, 3))
        check((seen == seen[0])[:, covers[y, x]].all(), f"the wall at {(x, y)} is not opaque")
    painters = Painters(covers)
    wall = walls[painters.y, painters.x, PIXEL_ROWS, PIXEL_COLUMNS] * painters.exists[..., None]
    for slot in 1, 2:
        told_apart = (wall[slot] != wall[0]).any(axis=-1) & painters.exists[slot]
        check(told_apart.any(), "neighbouring walls are too alike to show which is painted first")
    return painters, wall


def measure_cheese(camera: Camera, painters: Painters, background: Pixels, wall: Pixels) -> Pixels:
    """The cheese's paint, from a cheese on each background, and on each wall that is painted before it."""

    def photograph(neighbour: int, slot: int, backgrounds: Iterable[int]) -> Pixels:
        """Each pixel, [k, 64, 64, 3], with cheese in its own cell and `neighbour` in the one at `slot`."""
        contents = [[CHEESE if c == q else neighbour if c == q ^ slot else FREE for c in range(4)] for q in range(4)]
        pictures = [camera.photograph(camera.grid(content), backgrounds=backgrounds) for content in contents]
        own = camera.classes[painters.y[0], painters.x[0]]
        return np.select([own[..., None] == q for q in range(4)], pictures)

    under, seen = list(background), list(photograph(FREE, 1, range(BACKGROUNDS)))
    for slot in 1, 2, 3:
        beneath = (painters.exists[slot] & (painters.turn[slot] < painters.turn[0]))[..., None]
        under.append(np.where(beneath, wall[slot], under[0]))
        seen.append(np.where(beneath, photograph(WALL, slot, [0])[0], seen[0]))
    return solve_paint(np.stack(under), np.stack(seen))


def predict(table: dict[str, NDArray[Any]], painters: Painters, grid: NDArray[np.int64]) -> Pixels:
    """What the table says the library draws without a mouse, on each background: uint8 [9, 64, 64, 3]."""
    picture = table["background"]
    for slot in np.argsort(painters.turn, axis=0):  # [64, 64], the painter whose turn it is at each pixel
        x, y, exists = (field[slot, PIXEL_ROWS, PIXEL_COLUMNS] for field in (painters.x, painters.y, painters.exists))
        content = np.where(exists, grid[y, x], FREE)[..., None]
        picture = np.where(content == WALL, table["wall"][slot, PIXEL_ROWS, PIXEL_COLUMNS], picture)
        picture = np.where((content == CHEESE) & (slot[..., None] == 0), over(table["cheese"], picture), picture)
    return picture


def measure_mouse(
    camera: Camera, painters: Painters, expected: dict[tuple[int, ...], Pixels], reflected: bool
) -> Pixels:
    """The mouse's paint, from every cell, on each background and on the cheese.

    Where walls reach in, every choice of them is tried.

    Args:
        camera: of the mode.
        painters: of the mode.
        expected: the pictures without a mouse, uint8 [9, 64, 64, 3], by the contents of the four classes.
        reflected: which facing.
    """
    arounds = [(own, *walls) for walls in product((FREE, WALL), repeat=3) for own in (FREE, CHEESE)]  # by slot
    under, seen = np.zeros((2, len(arounds), BACKGROUNDS, SIDE, SIDE, 3), np.uint8)
    for x, y in product(range(camera.world), repeat=2):
        inside = (painters.rows == y)[:, None] & (painters.columns == x)
        reached = (painters.exists[1:] & inside).any()
        for i, around in enumerate(arounds):
            source = i if reached else i % 2  # elsewhere the neighbours do not matter
            if source == i:
                contents = tuple(around[q ^ camera.classes[y, x]] for q in range(4))
                pictures = camera.photograph(camera.grid(contents), (x, y), reflected)
                unchanged = (pictures == expected[contents])[:, ~inside]
                check(unchanged.all(), f"the mouse at {(x, y)} leaves its cell")
                under[i][:, inside], seen[i][:, inside] = expected[contents][:, inside], pictures[:, inside]
            else:
                under[i][:, inside], seen[i][:, inside] = under[source][:, inside], seen[source][:, inside]
    return solve_paint(under.reshape(-1, SIDE, SIDE, 3), seen.reshape(-1, SIDE, SIDE, 3))


def measure(mode: Mode) -> dict[str, NDArray[Any]]:
    """The table of one mode.

    Raises:
        RuntimeError: if the library draws anything that the table does not predict.
    """
    camera = Camera(mode)
    background = camera.photograph(camera.grid([FREE] * 4))
    painters, wall = measure_walls(camera, background)
    table = {name: getattr(painters, name) for name in ("columns", "rows", "reach_columns", "reach_rows")}
    table |= {"background": background, "wall": wall}
    table["cheese"] = measure_cheese(camera, painters, background, wall)
    expected = {}  # every content of every cell beside every content of the neighbours that might reach it
    for contents in product((FREE, WALL, CHEESE), repeat=4):
        expected[contents] = predict(table, painters, camera.grid(contents))
        seen = camera.photograph(camera.grid(contents))
        check((seen == expected[contents]).all(), f"the picture of {contents} is unexpected")
    table["mouse"] = np.stack([measure_mouse(camera, painters, expected, facing) for facing in (False, True)])
    print(f"{mode}: {camera.pictures:,} pictures, all as the table predicts")
    return table


def main() -> None:
    """Measure both modes and write the table."""
    arrays = {f"{mode}_{name}": array for mode in MODES for name, array in measure(cast(Mode, mode)).items()}
    np.savez_compressed(TABLE, allow_pickle=False, **arrays)
    print(f"{TABLE.name}: {TABLE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
