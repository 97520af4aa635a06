"""The real procgen maze, driven straight through its C library.

The wheel `procgen2` 0.10.7 holds procgen's games as one shared library that speaks gym3's small `libenv`
interface, plus `get_state` and `set_state`. Loaded with ctypes it needs neither gym, nor gym3, nor an old
numpy, and runs in any Python on Linux x86-64:

    install()                                        # once: `mazeinterp procgen install`
    with ProcgenMazes(num_envs=8, num_levels=100) as mazes:
        mazes.act(np.full(8, 7))                     # everyone to the right
        reward, observation, first = mazes.observe()
        state = MazeState.parse(mazes.get_state(0))
        mazes.set_state(0, state.with_level(state.to_level().without_cheese()))

procgen: Cobbe et al. 2020, "Leveraging Procedural Generation to Benchmark Reinforcement Learning",
arXiv 1912.01588.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .procgen_state import DISTRIBUTION_MODES, MazeState
from .worlds import SEEDS, Mode, world_of

__all__ = ["MazeState", "ProcgenMazes", "install", "library_path"]

RELEASE = "procgen2-0.10.7"
WHEEL_SHA256 = "d6dd12c4bfd8fdd7db947d375c6815e242c4cff92d62c7c04ed92b381de62715"
NUM_ACTIONS = 15


def cache_directory() -> Path:
    """`$MAZEINTERP_CACHE`, else `$XDG_CACHE_HOME/mazeinterp`, else `~/.cache/mazeinterp`."""
    if chosen := os.environ.get("MAZEINTERP_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mazeinterp"


def _library_in(folder: Path) -> Path:
    return folder / RELEASE / "procgen" / "data" / "prebuilt" / "libenv.so"


def _check_platform() -> None:
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise OSError(
            f"procgen's C library exists for Linux x86_64 only, this is {system} {machine}; "
            "the native environment (backend='native') plays the same mazes anywhere"
        )


def library_path() -> Path:
    """Path of the installed C library.

    Raises:
        FileNotFoundError: It is not installed.
        OSError: This is not Linux x86-64.
    """
    _check_platform()
    path = _library_in(cache_directory())
    if not path.exists():
        raise FileNotFoundError(f"no procgen library at {path}; fetch it with: mazeinterp procgen install")
    return path


def install(wheel: Path | str | None = None) -> Path:
    """Fetch procgen's wheel with pip, check its hash and unpack it into the cache; once is enough.

    Args:
        wheel: The wheel file where it has been fetched already, for machines without a network.

    Returns:
        Path of the C library.

    Raises:
        OSError: This is not Linux x86-64.
        RuntimeError: pip could not fetch the wheel.
        ValueError: The wheel is not the one expected.
    """
    _check_platform()
    cache = cache_directory()
    library = _library_in(cache)
    if library.exists():
        return library
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".procgen-") as temporary:
        source = Path(wheel) if wheel is not None else _download(Path(temporary))
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            raise ValueError(f"{source.name} has SHA-256 {digest}, expected {WHEEL_SHA256}; fetch {RELEASE} afresh")
        unpacked = Path(temporary) / RELEASE
        with zipfile.ZipFile(source) as archive:
            # The library looks for its Qt in ../../../procgen2.libs, so the wheel's own layout is kept.
            wanted = ("procgen/data/", "procgen2.libs/", f"{RELEASE}.dist-info/LICENSE")
            archive.extractall(unpacked, [name for name in archive.namelist() if name.startswith(wanted)])
        try:
            unpacked.rename(cache / RELEASE)
        except OSError:
            if not library.exists():  # otherwise another process was faster, and its copy is as good
                raise
    return library


def _download(folder: Path) -> Path:
    """Fetch the wheel into `folder`, with any Python: the library does not depend on it."""
    name, version = RELEASE.split("-")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--dest", str(folder)]
    build = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--platform=manylinux2014_x86_64"]
    command = [*pip, *build, "--only-binary=:all:", "--no-deps", f"{name}=={version}"]
    run = subprocess.run(command, stderr=subprocess.PIPE, text=True)  # pip's progress bar is for the user
    if run.returncode:
        raise RuntimeError(
            f"pip could not fetch {name} {version}: {run.stderr.strip()}\n"
            "Where there is no network or no pip, fetch the wheel elsewhere and call install(wheel=...)"
        )
    return next(folder.glob("*.whl"))


# gym3's libenv interface, as its header gym3/libenv.h has it


class _Option(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char * 128),
        ("dtype", ctypes.c_int),
        ("count", ctypes.c_int),
        ("data", ctypes.c_void_p),
    ]


class _Options(ctypes.Structure):
    _fields_ = [("items", ctypes.POINTER(_Option)), ("count", ctypes.c_int)]


class _Value(ctypes.Union):
    _fields_ = [("uint8", ctypes.c_uint8), ("int32", ctypes.c_int32), ("float32", ctypes.c_float)]


class _TensorType(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 128), ("scalar_type", ctypes.c_int), ("dtype", ctypes.c_int)]
    _fields_ += [("shape", ctypes.c_int * 16), ("ndim", ctypes.c_int), ("low", _Value), ("high", _Value)]


class _Buffers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("ob", "rew", "first", "info", "ac")]


_UINT8, _INT32 = 1, 2
_DTYPES = {_UINT8: np.uint8, _INT32: np.int32}
_SPACES = {"observation": 1, "action": 2, "info": 3}
_STATE_CAPACITY = 2**16  # a state is about 23 KB: three generators as text, 6.9 KB each at most, and the grid


@functools.cache
def _library(path: Path) -> ctypes.CDLL:
    """Load the library; it uses its own Qt even where the process has loaded another."""
    try:
        library = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL | os.RTLD_DEEPBIND)
    except OSError as error:
        raise OSError(
            f"{error}; procgen's Qt needs the system's OpenGL and GLib: apt-get install libgl1 libglib2.0-0"
        ) from error
    handle, integer, pointer = ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
    library.libenv_make.restype, library.libenv_make.argtypes = handle, [integer, _Options]
    library.libenv_get_tensortypes.argtypes = [handle, integer, pointer]
    library.libenv_set_buffers.restype, library.libenv_set_buffers.argtypes = None, [handle, pointer]
    for name in ("libenv_observe", "libenv_act", "libenv_close"):
        getattr(library, name).restype, getattr(library, name).argtypes = None, [handle]
    library.get_state.argtypes = [handle, integer, pointer, integer]
    library.set_state.restype, library.set_state.argtypes = None, [handle, integer, ctypes.c_char_p, integer]
    return library


def _options(values: dict[str, str | bool | int]) -> tuple[_Options, list[Any]]:
    """The options as libenv takes them, and what must live as long as they do."""
    items = (_Option * len(values))()
    kept: list[Any] = [items]
    for item, (name, value) in zip(items, values.items(), strict=True):
        data: Any
        if isinstance(value, str):
            data, item.dtype = ctypes.create_string_buffer(value.encode()), _UINT8
            item.count = len(data) - 1  # without the closing zero
        elif isinstance(value, bool):  # before int, which a bool is too
            data, item.dtype, item.count = ctypes.c_uint8(value), _UINT8, 1
        else:
            data, item.dtype, item.count = ctypes.c_int32(value), _INT32, 1
        item.name, item.data = name.encode(), ctypes.addressof(data)
        kept.append(data)
    return _Options(items, len(values)), kept


class ProcgenMazes:
    """A vector of real procgen mazes, stepped on one thread, with the options of procgen's own `env.py`.

    The step that ends an episode returns the next level's first observation; action -1 forces a new level.

    Args:
        num_envs: Number of environments, n.
        mode: "hard" (25x25 cells) or "easy" (15x15).
        num_levels: Number of level seeds, from `start_level` on; 0 for all, and `start_level` is ignored.
        start_level: First level seed.
        rand_seed: Seed of the sequence of level seeds, in [0, 2^31).

    Raises:
        FileNotFoundError: The library is not installed.
        OSError: This is not Linux x86-64, or a system library is missing.
        ValueError: An argument is out of range.
    """

    def __init__(
        self,
        num_envs: int = 1,
        mode: Mode = "hard",
        num_levels: int = 0,
        start_level: int = 0,
        rand_seed: int = 0,
    ) -> None:
        self._handle: int | None = None
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}, wants at least 1")
        world_of(mode)  # raises for an unknown mode
        if min(num_levels, start_level) < 0 or start_level + num_levels >= SEEDS:
            raise ValueError(f"num_levels {num_levels} and start_level {start_level} leave the seeds [0, 2^31 - 1)")
        if not 0 <= rand_seed < SEEDS:
            raise ValueError(f"rand_seed is {rand_seed}, wants [0, 2^31)")
        path = library_path()
        self.num_envs, self.mode = num_envs, mode
        self._library = _library(path)
        self._scratch = ctypes.create_string_buffer(_STATE_CAPACITY)
        options, kept = _options(
            {
                "env_name": "maze",
                "distribution_mode": DISTRIBUTION_MODES[mode],
                "num_levels": num_levels,
                "start_level": start_level,
                "rand_seed": rand_seed,
                "num_actions": NUM_ACTIONS,
                "num_threads": 0,
                "resource_root": f"{path.parent.parent / 'assets'}{os.sep}",
                "use_backgrounds": True,
                "center_agent": True,  # procgen's default, which the maze itself turns off in these modes
                "use_sequential_levels": False,
                "use_generated_assets": False,
                "use_monochrome_assets": False,
                "restrict_themes": False,
                "paint_vel_info": False,
                "render_human": False,
                "debug_mode": 0,
            }
        )
        self._handle = self._library.libenv_make(num_envs, options)
        del kept  # the library has copied them
        observation, observation_pointers = self._allocate("observation")
        action, action_pointers = self._allocate("action")
        self._info, info_pointers = self._allocate("info")
        self._observation, self._action = observation["rgb"], action["action"]
        self._reward, self._first = np.zeros(num_envs, np.float32), np.zeros(num_envs, np.bool_)
        buffers = _Buffers(
            ob=ctypes.addressof(observation_pointers),
            rew=self._reward.ctypes.data,
            first=self._first.ctypes.data,
            info=ctypes.addressof(info_pointers),
            ac=ctypes.addressof(action_pointers),
        )
        self._library.libenv_set_buffers(self._handle, ctypes.byref(buffers))  # it copies the pointers

    def _allocate(self, space: str) -> tuple[dict[str, NDArray[Any]], ctypes.Array[ctypes.c_void_p]]:
        """A space's tensors, [n, ...] each, by name, and pointers to their rows, tensor by tensor."""
        count = self._library.libenv_get_tensortypes(self._handle, _SPACES[space], None)
        types = (_TensorType * count)()
        self._library.libenv_get_tensortypes(self._handle, _SPACES[space], types)
        shapes = {t.name.decode(): ((self.num_envs, *t.shape[: t.ndim]), _DTYPES[t.dtype]) for t in types}
        arrays = {name: np.zeros(shape, dtype) for name, (shape, dtype) in shapes.items()}
        rows = [a.ctypes.data + i * a.strides[0] for a in arrays.values() for i in range(self.num_envs)]
        return arrays, (ctypes.c_void_p * len(rows))(*rows)

    def _open(self) -> int:
        """The library's handle; raises ValueError once the environments are closed."""
        if self._handle is None:
            raise ValueError("these procgen environments are closed; make new ones")
        return self._handle

    def observe(self) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
        """What the last action brought, in new arrays.

        Returns:
            reward: float32 [n]; 10 where the cheese was reached, else 0.
            observation: uint8 [n, 64, 64, 3], RGB, row 0 at the top.
            first: bool [n], whether the observation is the first of an episode.
        """
        self._library.libenv_observe(self._open())
        return self._reward.copy(), self._observation.copy(), self._first.copy()

    def info(self) -> dict[str, NDArray[Any]]:
        """New arrays by name.

        Returns:
            level_seed, prev_level_seed: int32 [n], the seeds of the present level and of the last step's.
            prev_level_complete: bool [n], whether the last step reached the cheese.
        """
        self._library.libenv_observe(self._open())
        info = {name: values.copy() for name, values in self._info.items()}
        info["prev_level_complete"] = info["prev_level_complete"].astype(np.bool_)
        return info

    def act(self, actions: ArrayLike) -> None:
        """Play one step everywhere.

        Args:
            actions: Integers [n] in [0, 15), or -1 to end the episode and go to the next level.

        Raises:
            ValueError: Wrong shape, type or range; nothing is played then.
        """
        chosen = np.asarray(actions)
        if chosen.shape != (self.num_envs,) or chosen.dtype.kind not in "iu":
            raise ValueError(f"actions are {chosen.dtype} {list(chosen.shape)}, wants integers [{self.num_envs}]")
        if chosen.min() < -1 or chosen.max() >= NUM_ACTIONS:
            raise ValueError(f"actions {chosen.min()}..{chosen.max()} leave [-1, {NUM_ACTIONS})")
        self._action[:] = chosen
        self._library.libenv_act(self._open())

    def get_state(self, index: int) -> bytes:
        """Everything about one environment, its generators included, as procgen's state bytes."""
        length = self._library.get_state(self._open(), self._checked(index), self._scratch, _STATE_CAPACITY)
        return ctypes.string_at(self._scratch, length)

    def set_state(self, index: int, state: bytes | MazeState) -> None:
        """Put one environment into a state; `observe` and `info` then report it.

        The state brings its own range of level seeds and generators with it.

        Raises:
            IndexError: No such environment.
            ValueError: Not the state of a maze of this mode (the library would end the process).
        """
        state = MazeState.parse(state) if isinstance(state, bytes) else state
        if state.mode != self.mode:
            raise ValueError(f"the state is of mode {state.mode!r}, these environments are {self.mode!r}")
        data = state.to_bytes()
        self._library.set_state(self._open(), self._checked(index), data, len(data))

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.num_envs:
            raise IndexError(f"environment {index} of {self.num_envs}")
        return index

    def close(self) -> None:
        """Free the environments; closing twice does no harm."""
        if self._handle is not None:
            self._library.libenv_close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
