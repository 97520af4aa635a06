"""The state bytes of a real procgen maze: read, edited and written back.

`get_state` of procgen's C library gives everything about one environment, its generators included, as one
buffer; `MazeState` knows every field of it (procgen 0.10.7, game "maze").
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .generation import BACKGROUNDS
from .levels import Level
from .worlds import MODES, Mode

DISTRIBUTION_MODES: dict[Mode, int] = {"easy": 0, "hard": 1}
"""procgen's number for each mode."""

_CODES = np.array([100, 51, 2], np.int32)  # procgen's object numbers for a Level's 0 free, 1 wall, 2 cheese
_END = 0xCAFECAFE - 2**32

# Every field in order, as kind and names. int, float: 4 bytes, little end first; text, ints: an int, which is
# the number of items that follow, then that many bytes (text) or ints.
_LAYOUT = """
int   version
text  game
int   paint_vel_info use_generated_assets use_monochrome_assets restrict_themes use_backgrounds center_agent
int   debug_mode distribution_mode use_sequential_levels use_easy_jump plain_assets physics_mode grid_step
int   level_seed_low level_seed_high game_type game_index
int   level_generator_seeded
text  level_generator
int   generator_seeded
text  generator
float reward
int   done level_complete action timeout
int   level_seed prev_level_seed episodes_remaining episode_done last_reward_timer
float last_reward
int   default_action fixed_asset_seed steps is_waiting_for_step
int   grid_size entities
float mouse_x mouse_y mouse_vx mouse_vy mouse_rx mouse_ry
int   mouse_type mouse_image_type mouse_image_theme mouse_render_z mouse_will_erase mouse_collides
float mouse_collision_margin mouse_rotation mouse_vrot
int   mouse_reflected mouse_fire_time mouse_spawn_time mouse_life_time mouse_expire_time mouse_use_abs_coords
float mouse_friction
int   mouse_smart_step mouse_avoids_collisions mouse_auto_erase
float mouse_alpha mouse_health mouse_theta mouse_grow_rate mouse_alpha_decay mouse_climber_spawn_x
int   use_procgen_background background
float background_tile_ratio background_offset character_dim
int   last_move_action move_action special_action
float mix_rate max_speed max_jump action_vx action_vy action_vrot center_x center_y
int   random_agent_start has_useful_velocity step_random asset_generator_seeded
text  asset_generator
int   world_width world_height out_of_bounds_object
float unit view_dim x_offset y_offset visibility min_visibility
int   grid_width grid_height
ints  grid
int   maze_dim world_dim end
"""

# What holds in every state of these modes; elsewhere the library ends the process or draws something else.
_ZEROS = (
    *("version", "use_generated_assets", "use_monochrome_assets", "use_procgen_background", "center_agent"),
    *("is_waiting_for_step", "mouse_type", "mouse_image_type", "mouse_image_theme"),
)
_ONES = ("entities", "level_generator_seeded", "generator_seeded")
_SIDES = ("world_width", "world_height", "grid_width", "grid_height", "world_dim")

_FIXED = {"int": struct.Struct("<i"), "float": struct.Struct("<f")}
_ITEM_BYTES = {"text": 1, "ints": 4}


def _read_layout() -> list[dict[str, str]]:
    """The layout as sections, name to kind, each but the last ending with a field of variable length."""
    sections: list[dict[str, str]] = [{}]
    for kind, *names in map(str.split, _LAYOUT.strip().splitlines()):
        sections[-1].update(dict.fromkeys(names, kind))
        if kind in _ITEM_BYTES:
            sections.append({})
    return sections


_SECTIONS = _read_layout()
_PLACES = {
    name: (number, 4 * i, kind)
    for number, section in enumerate(_SECTIONS)
    for i, (name, kind) in enumerate(section.items())
}


def _cut_short(data: bytes, field_name: str) -> ValueError:
    return ValueError(f"the state bytes are cut short: the field {field_name!r} goes beyond their {len(data)} bytes")


@dataclass(frozen=True, repr=False)
class MazeState:
    """The state bytes of one real maze environment, as a value whose fields can be read and replaced.

    `state[name]` is an int, a float, bytes, or int32 [k], by the field's kind in the layout above.

    Attributes:
        data: the bytes.
        starts: where each section of the layout starts in them.
    """

    data: bytes
    starts: tuple[int, ...] = field(compare=False)

    @staticmethod
    def parse(data: bytes) -> MazeState:
        """The state that these bytes hold; `to_bytes` gives the same bytes back.

        Raises:
            ValueError: if they are cut short, have bytes to spare, or are not a maze's.
        """
        starts = [0]
        for section in _SECTIONS:
            end = starts[-1] + 4 * len(section)
            if end > len(data):
                raise _cut_short(data, list(section)[(len(data) - starts[-1]) // 4])
            name, kind = list(section.items())[-1]
            if kind in _FIXED:
                continue  # the last section
            (count,) = _FIXED["int"].unpack_from(data, end - 4)
            if count < 0:
                raise ValueError(f"the state bytes give the field {name!r} {count} items")
            starts.append(end + count * _ITEM_BYTES[kind])
            if starts[-1] > len(data):
                raise _cut_short(data, name)
            if name == "game" and data[end : starts[-1]] != b"maze":
                raise ValueError(f"the state bytes are of the game {data[end : starts[-1]]!r}, not of b'maze'")
        if end < len(data):
            raise ValueError(f"the state bytes have {len(data) - end} bytes to spare after their end at {end}")
        state = MazeState(bytes(data), tuple(starts))
        state._check()
        return state

    def _check(self) -> None:
        modes = {code: mode for mode, code in DISTRIBUTION_MODES.items()}
        if self["distribution_mode"] not in modes:
            raise ValueError(f"distribution_mode of the state bytes is {self['distribution_mode']}; known are {modes}")
        world = MODES[modes[self["distribution_mode"]]]
        expected = dict.fromkeys(_ZEROS, 0) | dict.fromkeys(_ONES, 1) | dict.fromkeys(_SIDES, world)
        for name, value in {**expected, "grid_size": world * world, "end": _END}.items():
            if self[name] != value:
                raise ValueError(f"{name} of the state bytes is {self[name]}; a {world} × {world} maze has {value}")
        low, high = self["level_seed_low"], self["level_seed_high"]
        if low >= high:
            raise ValueError(f"the state bytes choose level seeds from [{low}, {high}), which is empty")
        if not 0 <= self["background"] < BACKGROUNDS:
            raise ValueError(f"background of the state bytes is {self['background']}, outside [0, {BACKGROUNDS})")
        grid = self["grid"]
        if len(grid) != world * world or (grid[:, None] != _CODES).all(axis=1).any():
            raise ValueError(
                f"the grid of the state bytes has {len(grid)} cells of the codes {np.unique(grid).tolist()}; "
                f"it must have {world * world} cells of {_CODES.tolist()} (free, wall, cheese)"
            )

    def to_bytes(self) -> bytes:
        """The bytes, for `ProcgenMazes.set_state` or procgen's own."""
        return self.data

    def __getitem__(self, name: str) -> Any:
        number, offset, kind = _PLACES[name]
        at = self.starts[number] + offset
        if kind in _FIXED:
            return _FIXED[kind].unpack_from(self.data, at)[0]
        items = self.data[at + 4 : self.starts[number + 1]]
        return items if kind == "text" else np.frombuffer(items, "<i4")

    def replace(self, **values: Any) -> MazeState:
        """With other values in these fields, which are of kind int, float or ints (as many as before).

        Raises:
            KeyError: for an unknown field.
            ValueError: if the number of ints is another, or the result is not a maze's state.
        """
        data = bytearray(self.data)
        for name, value in values.items():
            number, offset, kind = _PLACES[name]
            at = self.starts[number] + offset
            if kind in _FIXED:
                _FIXED[kind].pack_into(data, at, value)
            elif len(value) == len(self[name]):
                data[at + 4 : self.starts[number + 1]] = np.asarray(value, "<i4").tobytes()
            else:
                raise ValueError(f"the field {name!r} has {len(self[name])} items, {len(value)} were given")
        return MazeState.parse(bytes(data))

    def __repr__(self) -> str:
        return f"<MazeState: {self.mode}, seed {self['level_seed']}, step {self.steps}, {len(self.data)} bytes>"

    @property
    def mode(self) -> Mode:
        """The distribution mode, "hard" or "easy"."""
        return "hard" if self["distribution_mode"] == DISTRIBUTION_MODES["hard"] else "easy"

    @property
    def steps(self) -> int:
        """Steps taken in this episode."""
        return int(self["steps"])

    def to_level(self) -> Level:
        """The maze as it stands; `edited` where it, or the mouse's place, is not what its seed generates.

        Raises:
            ValueError: if the mouse is outside the world or in a wall.
        """
        world, seed = MODES[self.mode], self["level_seed"]
        codes = self["grid"].reshape(world, world)
        level = Level(
            np.argmax(codes[..., None] == _CODES, axis=-1).astype(np.uint8),
            (math.floor(self["mouse_x"]), math.floor(self["mouse_y"])),
            self["background"],
            bool(self["mouse_reflected"]),
            seed if seed >= 0 else None,
            maze_dim=self["maze_dim"] or None,
        )
        return replace(level, edited=seed >= 0 and level != Level.from_seed(seed, self.mode))

    def with_level(self, level: Level, steps: int = 0) -> MazeState:
        """The same environment with its present level replaced; what comes after that level stays as it was.

        Args:
            level: of this state's mode.
            steps: steps already taken in the episode; 0 makes the level an episode's first observation.

        Raises:
            ValueError: if the level is of the other mode or the episode would be over.
        """
        if level.mode != self.mode:
            raise ValueError(f"the level is of mode {level.mode!r}, the state of mode {self.mode!r}")
        if not 0 <= steps < self["timeout"]:
            raise ValueError(f"steps is {steps}; an episode has [0, {self['timeout']})")
        x, y = level.mouse
        return self.replace(
            grid=_CODES[level.grid].ravel(),
            mouse_x=x + 0.5,
            mouse_y=y + 0.5,
            mouse_reflected=level.reflected,
            background=level.background,
            maze_dim=level.maze_dim or 0,
            level_seed=-1 if level.seed is None else level.seed,
            steps=steps,
            reward=0.0,
            done=steps == 0,
            episode_done=steps == 0,
            level_complete=False,
        )
