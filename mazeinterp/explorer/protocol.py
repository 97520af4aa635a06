"""What the explorer's page and Python say to each other, and the checks that every message passes.

A request and a reply are one JSON text each, the same over the page's WebSocket (`/socket`) and over a notebook
widget's custom messages. Python keeps no view: every request carries the whole `state`, so undo, the stack of edits
and the address belong to the page, and any reply can be had again.

Request: `{"id": int, "kind": str, …}`. Reply: `{"id": int, "kind": str, "done": bool, …}`; several with `done: false`
may come before the last. A newer request of a kind, from the same tab, ends the older one between two batches of the
network: no more is heard of that. Failure: `{"id": int or null, "kind": str or null, "done": true, "error": sentence}`,
with `"edit": index` where one edit of the stack is to blame. Coordinates are world squares [x, y], y up.

The state::

    {"policy": "rand_region_5", "mode": "hard" or "easy",
     "grid": base64url of the bits, row by row, y = 0 first, x fastest; 1 = wall; the highest bit of a byte first,
     "cheeses": [[x, y], …], "mouse": [x, y], "background": 0 … 8, "reflected": bool,
     "seed": int or null, "maze_dim": int or null,
     "edits": [{"name": "add", "parameters": {"vector": "cheese", "coefficient": -1.0}, "on": true}, …]}

`seed` says where the maze came from; Python finds out whether it was edited since. `maze_dim` is the side of the
generated maze that it came from, and defines its corner (`mazeinterp.maze.corner`); null for a grid of one's own. A
cheese opens its square, whatever the grid says. The mouse may stand in a wall: what does not depend on where it stands
is then measured all the same. A vector parameter is a registered name, or an object of the form of an edit:
`{"name": "shuffled", "parameters": {"of": "cheese", "seed": 1}}`. Files and `module:attribute` are refused.

Kinds, with what they carry beside `state`, and what comes back:

- `catalogue` (no state): `policies` [{name, width, summary, default, precision}], `layers` {policy: [{name, shape}]},
  `edits` and `vectors` [{name, summary, parameters}], `presets` [{label, edit}], `moves`, `modes` {mode: side},
  `backgrounds`, `limits`, `version`, `start` {policy, seed, mode}. A parameter is {name, type, optional, required,
  default, initial, low, high, soft, choices, doc, words}: `type` is float, int, bool, str, choice, layer, square
  ([x, y]), cell ([row, column]), channels (int or [int, …]), seeds ([first, one past the last]), vector, or
  unsupported; `initial` is a value to start from, which a required parameter needs.
- `level` (no state) {seed: int or null, mode, maze_dim: int or null, cheese_region: int or null}: the fields of a state
  that make a level. A null seed draws one below 500,000, where no network was trained; with `maze_dim` it is the first
  level of that size from there on.
- `maze`: `observation_png` (base64, 64 × 64), `free` (number of free squares), `corner`, `decision` {square,
  cheese_move, corner_move} or null, `path_cheese`, `path_corner` [square, …], `edited`, `edits` [{text, error}] of all
  edits, off ones too, `notes` (sentences: what cannot be measured, and why).
- `field` {which: ["before", "after"]}: parts {which, squares [k], moves [k][5] (left, right, up, down, stay), value
  [k]}, the squares nearest the mouse first, before the rest of either; last {decision: {before, after: {p_cheese_move,
  p_corner_move}}, precision, notes}. Facing as the state says. `after` comes only with an edit on; a whole answer that
  is known already comes in one part.
- `paths`: `before`, `after` [[x, y, p], …] (`mazeinterp.analysis.path_probabilities`), `notes`.
- `outcome`: `before`, `after` {p_cheese, p_corner_first, expected_steps} (`exact_outcomes`), `precision`, `notes`.
- `layer` {layer, edited: bool}: `shape`, `minimum`, `maximum` [c], `maps` (base64 of uint8 [c, h, w], each channel
  from its minimum 0 to its maximum 255; a layer without cells is [n, 1, 1]), `order` [c] (channels, best first),
  `order_name`, `scores` [c] (by channel), `rows`, `columns` (the cell row of every y and column of every x; null
  without cells). Asked for the first time, it comes twice: ranked by the range of activations, and then, once the
  channels have been probed for the cheese on 32 levels, by that.
- `episode` {edited: bool, greedy: bool, seed: int}: `squares`, `moves` (names), `reflected`, `found`, `precision`.
- `python`: `code`, a script that makes this view with the library.
- `data`: `csv`, the policy table before and after in long form, in float32.

What a policy says is computed in float32, or in bfloat16 where the network is wide and the machine faster so;
`precision` says which. bfloat16 moves probabilities by up to 0.05; the script and the data are exact.

Where the edits cannot be used (one does not fit the network, or is stochastic, which no table describes), `before`
comes all the same, with the reason among the notes and in `edit_error` {edit: index or null, error}.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..maze.generation import CHEESE, FREE, WALL
from ..maze.levels import Level
from ..maze.worlds import MODES, SEEDS, Square, world_of

MESSAGE_BYTES = 64 * 1024
"""Longest request in bytes."""

EDITS = 16
"""Most edits in a stack."""

KINDS = ("catalogue", "level", "maze", "python", "field", "layer", "paths", "outcome", "episode", "data")
"""The kinds of request, in the order in which one tab's are answered."""

_DEPTH = 8  # of objects and lists in one another; a stack of nested vectors needs them


class RequestError(ValueError):
    """A request that cannot be answered; its message says what was wrong and what would be right.

    Attributes:
        edit: index of the edit that is to blame, None if it is none.
    """

    def __init__(self, message: str, edit: int | None = None) -> None:
        super().__init__(message)
        self.edit = edit


@dataclass(frozen=True)
class Request:
    """A request, read and checked as far as every kind's is.

    Attributes:
        id: the page's number for it.
        kind: one of `KINDS`.
        body: all that it says.
    """

    id: int
    kind: str
    body: Mapping[str, Any]

    @cached_property
    def state(self) -> State:
        """Its state.

        Raises:
            RequestError: it has none, or one that describes no view.
        """
        return State.read(self.get("state", dict))

    def get(self, name: str, kind: type, *, optional: bool = False) -> Any:
        """One of its values.

        Args:
            name: its key.
            kind: its type: int (which bool is not), bool, str, list or dict.
            optional: whether it may be null or missing; None is returned then.

        Raises:
            RequestError: it is missing or of another type.
        """
        return _get(self.body, name, kind, optional=optional)


@dataclass(frozen=True)
class EditRequest:
    """An edit as the page describes it, not looked up yet.

    Attributes:
        name: a name that should be registered.
        parameters: JSON values by name.
        on: whether it takes part.
    """

    name: str
    parameters: Mapping[str, Any]
    on: bool

    @property
    def key(self) -> str:
        """A text that tells different edits apart."""
        return json.dumps([self.name, self.parameters], sort_keys=True)


@dataclass(frozen=True)
class State:
    """What the page shows.

    Attributes:
        policy: name of the network.
        level: the level; None if there is no open square at all. Where the mouse stands in a wall, its level has it
            on the open square nearest to that.
        mouse_in_wall: whether it does.
        edits: the stack of edits, those that are off too.
    """

    policy: str
    level: Level | None
    mouse_in_wall: bool
    edits: tuple[EditRequest, ...]

    @staticmethod
    def read(body: Mapping[str, Any]) -> State:
        """The state that a JSON object describes.

        Raises:
            RequestError: it describes none.
        """
        mode = _get(body, "mode", str)
        if mode not in MODES:
            raise RequestError(f"mode is {_shown(mode)}; it is one of {', '.join(MODES)}")
        grid = _read_grid(_get(body, "grid", str), world_of(mode))
        for square in _get(body, "cheeses", list):
            x, y = read_square(square, "a cheese", world_of(mode))
            grid[y, x] = CHEESE
        mouse = read_square(body.get("mouse"), "the mouse", world_of(mode))
        standing = _nearest_open(grid, mouse)
        level = None if standing is None else _read_level(body, grid, standing)
        edits = tuple(_read_edit(edit, i) for i, edit in enumerate(_get(body, "edits", list)))
        if len(edits) > EDITS:
            raise RequestError(f"there are {len(edits)} edits; {EDITS} at most are taken")
        return State(_get(body, "policy", str), level, standing != mouse, edits)


def read_request(text: str | bytes) -> Request:
    """Reads a request.

    Raises:
        RequestError: it is none; the message says why.
    """
    if len(text) > MESSAGE_BYTES or len(data := text.encode() if isinstance(text, str) else text) > MESSAGE_BYTES:
        raise RequestError(f"a message holds {MESSAGE_BYTES} bytes at most; this one is longer")
    try:
        body = json.loads(data, parse_constant=_refuse_number, parse_float=_read_float)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the message is no JSON: {str(error)[:200]}") from error
    return checked_request(body)


def checked_request(body: Any) -> Request:
    """A request from a JSON value.

    Raises:
        RequestError: it is none; the message says why.
    """
    if not isinstance(body, dict):
        raise RequestError('a request is an object such as {"id": 1, "kind": "catalogue"}')
    if _depth(body) > _DEPTH:
        raise RequestError(f"the request nests objects and lists more than {_DEPTH} deep")
    kind = _get(body, "kind", str)
    if kind not in KINDS:
        raise RequestError(f"unknown kind {_shown(kind)}; the kinds are {', '.join(KINDS)}")
    return Request(_get(body, "id", int), kind, body)


def read_square(value: Any, what: str, world: int) -> Square:
    """A square of the world, from JSON.

    Raises:
        RequestError: it is none.
    """
    if not (isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value)):
        raise RequestError(f"{what} is a square [x, y] of whole numbers, not {_shown(value)}")
    if not all(0 <= part < world for part in value):
        raise RequestError(f"{what} at {value} is outside the {world} × {world} world")
    return value[0], value[1]


def pack_grid(level: Level) -> str:
    """The walls of a level as a state has them."""
    return base64.urlsafe_b64encode(np.packbits(level.grid == WALL).tobytes()).decode().rstrip("=")


def level_fields(level: Level) -> dict[str, Any]:
    """The fields of a state that make a level."""
    return {
        "mode": level.mode,
        "grid": pack_grid(level),
        "cheeses": [list(cheese) for cheese in level.cheeses],
        "mouse": list(level.mouse),
        "background": level.background,
        "reflected": level.reflected,
        "seed": level.seed,
        "maze_dim": level.maze_dim,
    }


def write(reply: Mapping[str, Any]) -> str:
    """A reply as text."""
    return json.dumps(reply, allow_nan=False, separators=(",", ":"))


def number(value: float, digits: int | None = None) -> float | None:
    """A number for a reply; null where it is not finite, which JSON has no word for."""
    plain = float(value)
    return None if not math.isfinite(plain) else plain if digits is None else round(plain, digits)


def _get(body: Mapping[str, Any], name: str, kind: type, *, optional: bool = False) -> Any:
    value = body.get(name)
    if value is None and optional:
        return None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        words = {int: "a whole number", bool: "true or false", str: "a text", list: "a list", dict: "an object"}
        raise RequestError(f"{name} must be {words[kind]}, not {_shown(value)}")
    return value


def _read_grid(text: str, world: int) -> NDArray[np.uint8]:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise RequestError(f"the grid is no base64url: {error}") from error
    if len(data) != -(-(world**2) // 8):
        raise RequestError(f"the grid has {len(data)} bytes; a {world} × {world} world takes {-(-(world**2) // 8)}")
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=world**2)
    return np.where(bits.reshape(world, world) == 1, np.uint8(WALL), np.uint8(FREE))


def _read_level(body: Mapping[str, Any], grid: NDArray[np.uint8], mouse: Square) -> Level:
    seed, maze_dim = _get(body, "seed", int, optional=True), _get(body, "maze_dim", int, optional=True)
    if seed is not None and not 0 <= seed < SEEDS:
        raise RequestError(f"seed is {_shown(seed)}; level seeds lie in [0, 2**31)")
    if maze_dim is not None and maze_dim not in range(3, len(grid) + 1, 2):
        raise RequestError(f"maze_dim is {_shown(maze_dim)}; it is odd, from 3 to {len(grid)}, or null")
    background = _get(body, "background", int)
    if not 0 <= background <= 8:
        raise RequestError(f"background is {_shown(background)}; it is a whole number from 0 to 8")
    level = Level(grid, mouse, background, _get(body, "reflected", bool), maze_dim=maze_dim)
    if seed is None:
        return level
    generated = Level.from_seed(seed, level.mode)
    own = Level(generated.grid, generated.mouse, generated.background, maze_dim=generated.maze_dim)
    if own == level:
        return generated
    return Level(grid, mouse, background, level.reflected, seed, edited=True, maze_dim=maze_dim)


def _read_edit(value: Any, index: int) -> EditRequest:
    if not isinstance(value, dict):
        raise RequestError(f"edit {index + 1} is an object with name, parameters and on, not {_shown(value)}", index)
    try:
        return EditRequest(_get(value, "name", str), _get(value, "parameters", dict), _get(value, "on", bool))
    except RequestError as error:
        raise RequestError(f"edit {index + 1}: {error}", index) from None


def _nearest_open(grid: NDArray[np.uint8], square: Square) -> Square | None:
    y, x = np.nonzero(grid != WALL)
    if not len(x):
        return None
    nearest = ((x - square[0]) ** 2 + (y - square[1]) ** 2).argmin()
    return int(x[nearest]), int(y[nearest])


def _depth(value: Any) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, items), default=0)


def _refuse_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _read_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
