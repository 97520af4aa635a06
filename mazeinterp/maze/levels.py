"""`Levels`, a batch of maze states as arrays, and `Level`, one of them as an immutable value.

Squares are world coordinates (x, y): x to the right, y up, the origin at the bottom left. `grid[y, x]` holds a
square's content: 0 free, 1 wall, 2 cheese. World and inner coordinates are converted here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .generation import CHEESE, FREE, TWISTER_WORDS, WALL, carve, generate_levels, place_cheese, seed_twister
from .text import fields_from_text, to_text
from .worlds import (
    NO_SEED,
    Mode,
    Square,
    checked_column,
    checked_grids,
    checked_seeds,
    checked_squares,
    mode_of,
    region_code,
    square_of,
    world_of,
)


@dataclass(frozen=True, eq=False, repr=False)
class Level:
    """One maze state: walls, cheese, mouse, facing and background, as an immutable value.

    Edits return a new level; `seed` stays as provenance and `edited` becomes true.

    Attributes:
        grid: uint8 [world, world], read-only, row y with y up: 0 free, 1 wall, 2 cheese. The world's side is 25
            ("hard") or 15 ("easy").
        mouse: the mouse's square (x, y), not a wall.
        background: 0 … 8.
        reflected: whether the mouse's sprite is mirrored: it has last pushed right rather than left.
        seed: the level seed that it was generated from, else None.
        edited: whether it differs, or may differ, from what its seed generates.
        maze_dim: side of the generated maze in cells, else None.

    Raises:
        ValueError: from the constructor, if a value is of the wrong shape, type or range, or the mouse stands in
            a wall.
    """

    grid: NDArray[np.uint8]
    mouse: Square
    background: int = 0
    reflected: bool = False
    seed: int | None = None
    edited: bool = False
    maze_dim: int | None = None

    def __post_init__(self) -> None:
        batch = Levels.stack(self)  # checks the values
        if self.seed is not None:
            checked_seeds([self.seed])  # −1, which stands for none in a batch, is no seed
        grid = batch.grid[0].copy()
        grid.flags.writeable = False
        x, y = batch.mouse[0].tolist()
        object.__setattr__(self, "grid", grid)
        object.__setattr__(self, "mouse", (x, y))
        object.__setattr__(self, "background", int(self.background))
        object.__setattr__(self, "reflected", bool(self.reflected))
        object.__setattr__(self, "seed", None if self.seed is None else int(self.seed))
        object.__setattr__(self, "maze_dim", int(batch.maze_dim[0]) or None)

    # Making levels

    @staticmethod
    def from_seed(seed: int, mode: Mode = "hard", cheese_region: int | None = None) -> Level:
        """The level that procgen generates from a seed.

        Args:
            seed: level seed in [0, 2³¹).
            mode: "hard" (25 × 25 world) or "easy" (15 × 15).
            cheese_region: None for procgen's own placement of the cheese; n for that of `maze_aisc` with
                `rand_region = n` (arXiv 2105.14111): the maze's top-right n × n cells, or its top-right cell for 0.

        Raises:
            ValueError: for a seed out of range, an unknown mode or a negative region.
        """
        return Levels.from_seeds([seed], mode, cheese_region)[0]

    @staticmethod
    def from_text(text: str) -> Level:
        """The level that a text form describes: the inverse of `str(level)` (see `mazeinterp.maze.text`).

        Raises:
            ValueError: if the text is not that of a level.
        """
        return Level(**fields_from_text(text))

    # Reading

    @property
    def world(self) -> int:
        """Side of the world in cells."""
        return self.grid.shape[0]

    @property
    def mode(self) -> Mode:
        """The mode, "hard" or "easy", by the world's side."""
        return mode_of(self.world)

    @property
    def cheeses(self) -> tuple[Square, ...]:
        """The squares that hold a cheese, by x, then y."""
        ys, xs = np.nonzero(self.grid == CHEESE)
        return tuple(sorted(zip(xs.tolist(), ys.tolist(), strict=True)))

    @property
    def cheese(self) -> Square | None:
        """The cheese's square, None if there is none.

        Raises:
            ValueError: if there are several; `cheeses` lists them.
        """
        cheeses = self.cheeses
        if len(cheeses) > 1:
            raise ValueError(f"the level has {len(cheeses)} cheeses, at {cheeses}; `cheeses` lists them")
        return cheeses[0] if cheeses else None

    @property
    def margin(self) -> int:
        """Cells between the world's edge and the generated maze.

        Raises:
            ValueError: in a grid of one's own, which has no maze_dim.
        """
        if self.maze_dim is None:
            raise ValueError("the level was not generated, so it has no maze_dim and no inner coordinates")
        return (self.world - self.maze_dim) // 2

    def to_inner(self, square: Square) -> Square:
        """A world square in inner coordinates, whose origin is the maze's bottom-left cell."""
        return square[0] - self.margin, square[1] - self.margin

    def to_world(self, inner: Square) -> Square:
        """An inner square in world coordinates."""
        return inner[0] + self.margin, inner[1] + self.margin

    # Edits: each returns a new level

    def with_cheese(self, square: Square) -> Level:
        """With one cheese, at this square; any other is removed.

        Raises:
            ValueError: if the square is outside the world or a wall.
        """
        self._check_open(square, "the cheese")
        return self._with_cells([square], CHEESE, self.without_cheese().grid)

    def without_cheese(self) -> Level:
        """Without any cheese."""
        return self._with_cells(self.cheeses, FREE)

    def with_mouse(self, square: Square) -> Level:
        """With the mouse at this square.

        Raises:
            ValueError: if the square is outside the world or a wall.
        """
        self._check_open(square, "the mouse")
        return replace(self, mouse=square, edited=True)

    def with_walls(self, squares: Iterable[Square]) -> Level:
        """With walls at these squares.

        Raises:
            ValueError: if a square is outside the world or holds the mouse or a cheese.
        """
        chosen = list(squares)
        for square in chosen:
            self._check_inside(square)
            if square == self.mouse or square in self.cheeses:
                raise ValueError(f"{square} holds the mouse or a cheese; move or remove that first")
        return self._with_cells(chosen, WALL)

    def without_walls(self, squares: Iterable[Square]) -> Level:
        """With the walls at these squares opened; what is open stays as it is.

        Raises:
            ValueError: if a square is outside the world.
        """
        walls = [square for square in squares if not self._is_open(square)]
        return self._with_cells(walls, FREE)

    def toggle_wall(self, square: Square) -> Level:
        """With a wall where the square was open, or the other way round.

        Raises:
            ValueError: if the square is outside the world or holds the mouse or a cheese.
        """
        return self.with_walls([square]) if self._is_open(square) else self.without_walls([square])

    def with_background(self, background: int) -> Level:
        """With another background, 0 … 8."""
        return replace(self, background=background, edited=True)

    def with_reflected(self, reflected: bool) -> Level:
        """With the mouse's sprite mirrored (it has last pushed right) or not."""
        return replace(self, reflected=reflected, edited=True)

    def _with_cells(self, squares: Iterable[Square], content: int, base: NDArray[np.uint8] | None = None) -> Level:
        grid = (self.grid if base is None else base).copy()
        for x, y in squares:
            grid[y, x] = content
        return replace(self, grid=grid, edited=True)

    def _check_inside(self, square: Square) -> None:
        x, y = square
        if not (0 <= x < self.world and 0 <= y < self.world):
            raise ValueError(f"square {square} is outside the {self.world} × {self.world} world")

    def _is_open(self, square: Square) -> bool:
        self._check_inside(square)
        return bool(self.grid[square[1], square[0]] != WALL)

    def _check_open(self, square: Square, what: str) -> None:
        if not self._is_open(square):
            raise ValueError(f"{what} cannot stand in the wall at {square}; open it first (without_walls)")

    # A value: equal by content, hashable

    def _key(self) -> tuple[object, ...]:
        return (
            self.grid.tobytes(),
            self.mouse,
            self.background,
            self.reflected,
            self.seed,
            self.edited,
            self.maze_dim,
        )

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Level) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles go through the constructor: numpy's own would make the grid writable."""
        return Level, tuple(getattr(self, name) for name in self.__dataclass_fields__)

    def __str__(self) -> str:
        return to_text(self)

    def __repr__(self) -> str:
        origin = "own grid" if self.seed is None else f"seed {self.seed}"
        return (
            f"<Level: {self.mode}, {origin}{', edited' if self.edited else ''}, maze_dim {self.maze_dim}, "
            f"mouse {self.mouse}, cheese {', '.join(map(str, self.cheeses)) or 'none'}>"
        )

    def _repr_png_(self) -> bytes:
        from .rendering import encode_png, picture

        return encode_png(picture(self))


@dataclass(frozen=True, eq=False, repr=False)
class Levels:
    """A batch of maze states of one mode, as arrays: the type that everything downstream works on.

    `levels[i]` is a `Level`; a slice, mask or index array gives `Levels`. The fields are a `Level`'s, one row each.

    Attributes:
        grid: uint8 [n, world, world], row y with y up: 0 free, 1 wall, 2 cheese.
        mouse: int64 [n, 2], squares (x, y).
        background: uint8 [n], 0 … 8.
        reflected: bool [n].
        seed: int64 [n], −1 where there is none.
        edited: bool [n].
        maze_dim: int64 [n], side of the generated maze in cells, 0 in a grid of one's own.

    Raises:
        ValueError: from the constructor, if a value is of the wrong shape, type or range, or a mouse stands in a wall.
    """

    grid: NDArray[np.uint8]
    mouse: NDArray[np.int64]
    background: NDArray[np.uint8] = None  # type: ignore[assignment]  # the constructor fills in the default
    reflected: NDArray[np.bool_] = None  # type: ignore[assignment]  # the constructor fills in the default
    seed: NDArray[np.int64] = None  # type: ignore[assignment]  # the constructor fills in the default
    edited: NDArray[np.bool_] = None  # type: ignore[assignment]  # the constructor fills in the default
    maze_dim: NDArray[np.int64] = None  # type: ignore[assignment]  # the constructor fills in the default

    def __post_init__(self) -> None:
        grid = checked_grids(self.grid)
        checked: dict[str, NDArray[Any]] = {"grid": grid, "mouse": checked_squares(self.mouse, grid, "mouse")}
        for name in ("background", "reflected", "seed", "edited", "maze_dim"):
            checked[name] = checked_column(name, getattr(self, name), len(grid))
        too_large = checked["maze_dim"][checked["maze_dim"] > grid.shape[1]]
        if too_large.size:
            raise ValueError(f"maze_dim {too_large[0]} is larger than the world, {grid.shape[1]} cells a side")
        for name, array in checked.items():
            object.__setattr__(self, name, array)

    # Making batches

    @staticmethod
    def from_seeds(seeds: ArrayLike, mode: Mode = "hard", cheese_region: int | None = None) -> Levels:
        """The levels that procgen generates from seeds; the arguments are those of `Level.from_seed`.

        Args:
            seeds: integers [n] in [0, 2³¹), a range for instance.
            mode: "hard" or "easy".
            cheese_region: None, or n for `maze_aisc` with `rand_region = n`.

        Raises:
            ValueError: for a seed out of range, an unknown mode or a negative region.
        """
        checked = checked_seeds(seeds)
        n, world = len(checked), world_of(mode)
        grid, background = np.empty((n, world, world), np.uint8), np.empty(n, np.uint8)
        maze_dim = np.empty(n, np.int64)
        generate_levels(checked, region_code(cheese_region), grid, background, maze_dim)
        mouse = np.repeat((world - maze_dim)[:, None] // 2, 2, axis=1)
        return Levels(grid, mouse, background, seed=checked, maze_dim=maze_dim)

    @staticmethod
    def stack(items: LevelsLike) -> Levels:
        """One batch of what is given: a `Level`, a sequence of `Level`, or `Levels` (returned as they are).

        Raises:
            ValueError: if there are none, or the modes differ.
            TypeError: if something else is given.
        """
        if isinstance(items, Levels):
            return items
        rows = [items] if isinstance(items, Level) else list(items)
        for row in rows:
            if not isinstance(row, Level):
                raise TypeError(f"expected Levels, a Level or a sequence of Level, not {type(row).__name__}")
        if len({row.world for row in rows}) != 1:
            raise ValueError(f"levels of one mode are needed to make a batch; got {[row.mode for row in rows[:5]]}")
        return Levels(
            np.stack([row.grid for row in rows]),
            np.array([row.mouse for row in rows]),
            np.array([row.background for row in rows]),
            np.array([row.reflected for row in rows]),
            np.array([NO_SEED if row.seed is None else row.seed for row in rows]),
            np.array([row.edited for row in rows]),
            np.array([row.maze_dim or 0 for row in rows]),
        )

    def _row(self, i: int) -> Level:
        return Level(
            self.grid[i],
            square_of(self.mouse[i]),
            int(self.background[i]),
            bool(self.reflected[i]),
            None if self.seed[i] == NO_SEED else int(self.seed[i]),
            bool(self.edited[i]),
            int(self.maze_dim[i]) or None,
        )

    # Reading

    @property
    def world(self) -> int:
        """Side of the world in cells."""
        return self.grid.shape[1]

    @property
    def mode(self) -> Mode:
        """The mode, "hard" or "easy", by the world's side."""
        return mode_of(self.world)

    @property
    def cheese(self) -> NDArray[np.int64]:
        """The cheese's square in each level: int64 [n, 2], (−1, −1) where there is none.

        Raises:
            ValueError: if a level has several.
        """
        flat = (self.grid == CHEESE).reshape(len(self), self.world**2)
        counts = flat.sum(axis=1)
        if (counts > 1).any():
            row = int(np.argmax(counts > 1))
            raise ValueError(f"level {row} of the batch has {counts[row]} cheeses; one at most is allowed here")
        y, x = np.divmod(flat.argmax(axis=1), self.world)
        return np.where(counts[:, None] == 1, np.stack([x, y], axis=1), -1)

    def __len__(self) -> int:
        return len(self.grid)

    @overload
    def __getitem__(self, index: int | np.integer) -> Level: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Levels: ...
    def __getitem__(self, index: int | np.integer | slice | Sequence[int] | NDArray[Any]) -> Level | Levels:
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"level {index} of a batch of {len(self)}")
            return self._row(int(index))
        rows = np.arange(len(self))[index]
        if rows.ndim != 1:
            raise IndexError(f"a batch of levels has one dimension; the index {index!r} would give {rows.ndim}")
        return self._with(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def __iter__(self) -> Iterator[Level]:
        return (self._row(i) for i in range(len(self)))

    # Edits: each returns a new batch

    def repeat(self, counts: int | NDArray[np.int64]) -> Levels:
        """Each level so many times in a row.

        Args:
            counts: one number for all, or int [n].
        """
        return self[np.repeat(np.arange(len(self)), counts)]

    def with_mouse(self, squares: ArrayLike) -> Levels:
        """With the mice at these squares, int [n, 2].

        Raises:
            ValueError: if a square is outside the world or a wall.
        """
        return replace(self, mouse=np.asarray(squares), edited=np.ones(len(self), bool))

    def with_cheese(self, squares: ArrayLike) -> Levels:
        """With one cheese each, at these squares, int [n, 2].

        Raises:
            ValueError: if a square is outside the world or a wall.
        """
        array = checked_squares(squares, self.grid, "cheese")
        edited = self.without_cheese()
        edited.grid[np.arange(len(self)), array[:, 1], array[:, 0]] = CHEESE
        return edited

    def without_cheese(self) -> Levels:
        """Without any cheese."""
        return replace(self, grid=np.where(self.grid == CHEESE, FREE, self.grid), edited=np.ones(len(self), bool))

    def with_reflected(self, reflected: bool | ArrayLike) -> Levels:
        """With the mice's sprites mirrored or not; one flag for all, or bool [n]."""
        flags = np.broadcast_to(np.asarray(reflected), (len(self),))
        return replace(self, reflected=flags, edited=np.ones(len(self), bool))

    def _with(self, **arrays: NDArray[Any]) -> Levels:
        """Rows of a batch that was checked once already."""
        rows = object.__new__(Levels)
        for name, array in arrays.items():
            object.__setattr__(rows, name, np.ascontiguousarray(array))
        return rows

    def __repr__(self) -> str:
        return f"<Levels: {len(self)} × {self.mode}, {int(self.edited.sum())} edited>"

    def _repr_png_(self) -> bytes | None:
        from .rendering import encode_png, sheet

        return encode_png(sheet(self)) if len(self) else None


LevelsLike = Level | Levels | Sequence[Level]
"""What functions of levels take: `Levels.stack` makes a batch of it."""


def generate(
    maze_dim: int,
    rng: np.random.Generator | int,
    mode: Mode = "hard",
    cheese_region: int | None = None,
    background: int = 0,
) -> Level:
    """A random maze of a wanted size, by procgen's own generator with a random state of its own.

    Args:
        maze_dim: side of the maze in cells: odd, from 3 to the world's side.
        rng: a numpy generator, or a seed for one.
        mode: "hard" or "easy".
        cheese_region: where the cheese may lie, as in `Level.from_seed`.
        background: 0 … 8.

    Returns:
        A level without seed; the mouse is at the maze's bottom-left cell.

    Raises:
        ValueError: for a size that the mode does not have, an unknown mode or a negative region.

    >>> generate(5, rng=0).maze_dim
    5
    """
    world = world_of(mode)
    if maze_dim not in range(3, world + 1, 2):
        raise ValueError(f"maze_dim is {maze_dim}; in mode {mode!r} it is odd, from 3 to {world}")
    twister = np.empty(TWISTER_WORDS, np.uint32)
    seed_twister(twister, int(np.random.default_rng(rng).integers(2**32)))
    grid, free = np.empty((world, world), np.uint8), np.empty(world * world, np.int32)
    count = carve(twister, maze_dim, grid, free)
    place_cheese(twister, maze_dim, region_code(cheese_region), grid, free, count)
    margin = (world - maze_dim) // 2
    return Level(grid, (margin, margin), background, maze_dim=maze_dim)
