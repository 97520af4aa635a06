"""Record golden levels, frames and streams of procgen's maze from the real library.

The tests hold the native maze against them wherever the library is not to be had. tests/golden/procgen.npz has,
for each mode (prefix "hard_" or "easy_"; frames as CRC-32 checksums, except where they are given whole):

    level_seed                     int64 [k]            the level seeds
    level_grid                     uint8 [k, w, w]      what they generate: 0 free, 1 wall, 2 cheese; y up
    level_mouse                    int64 [k, 2]
    level_background, level_maze_dim  int64 [k]
    level_frame                    uint32 [k]           the first observation
    level_pixels                   uint8 [8, 64, 64, 3] the first eight of them, whole
    edited_grid, edited_mouse, edited_background, edited_reflected, edited_frame, edited_pixels
                                                        the same for states that no seed generates
    stream_num_levels, stream_start_level, stream_rand_seed  int64 [s]  options of a vector of 4 environments
    stream_action                  uint8 [s, t, 4]      actions played in it
    stream_reward, stream_first    bool [s, t, 4]       whether each step brought the cheese, ended the episode
    stream_seed, stream_frame      [s, t + 1, 4]        level seed and observation, before and after each step
    ending_grid, ending_mouse, ending_steps, ending_action, ending_reward, ending_first  [e, …]
                                                        one step each from chosen states late in an episode

Run it with: python scripts/make_golden.py
"""

from __future__ import annotations

import zlib
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mazeinterp.maze.levels import Level, Levels
from mazeinterp.maze.paths import MOVE_ACTION, best_moves
from mazeinterp.maze.procgen import NUM_ACTIONS, MazeState, ProcgenMazes
from mazeinterp.maze.worlds import MODES, Mode

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "procgen.npz"
SEEDS = [*range(240), *(2**power for power in range(8, 31)), 2**31 - 2]
WHOLE_FRAMES = 8
EDITED = 240
STREAMS = [(0, 12345, 0), (40, 1_000_000, 1), (1, 2**31 - 2, 2**31 - 1)]  # num_levels, start_level, rand_seed
STREAM_STEPS, STREAM_ENVS = 560, 4
NEXT_LEVEL = -1

Arrays = dict[str, NDArray[Any]]


def checksums(frames: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32 of each frame: uint8 [n, 64, 64, 3] to uint32 [n]."""
    return np.array([zlib.crc32(frame.tobytes()) for frame in frames], np.uint32)


def record_levels(mode: Mode) -> Arrays:
    """What the seeds generate."""
    with ProcgenMazes(1, mode) as mazes:
        start, levels, frames = MazeState.parse(mazes.get_state(0)), [], []
        for seed in SEEDS:
            mazes.set_state(0, start.replace(level_seed_low=seed, level_seed_high=seed + 1).to_bytes())
            mazes.act([NEXT_LEVEL])
            frames.append(mazes.observe()[1][0])
            levels.append(MazeState.parse(mazes.get_state(0)).to_level())
    batch = Levels.stack(levels)
    return {
        "level_seed": batch.seed,
        "level_grid": batch.grid,
        "level_mouse": batch.mouse,
        "level_background": batch.background.astype(np.int64),
        "level_maze_dim": batch.maze_dim,
        "level_frame": checksums(np.stack(frames)),
        "level_pixels": np.stack(frames[:WHOLE_FRAMES]),
    }


def record_edited(mode: Mode, rng: np.random.Generator) -> Arrays:
    """Worlds at random: walls in any number, some cheeses, the mouse on any open square."""
    world, levels, frames = MODES[mode], [], []
    with ProcgenMazes(1, mode) as mazes:
        state = MazeState.parse(mazes.get_state(0))
        for _ in range(EDITED):
            walls, cheeses = rng.random((2, world, world))
            grid = np.where(walls < rng.random(), 1, np.where(cheeses < 0.1, 2, 0)).astype(np.uint8)
            x, y = rng.integers(world, size=2).tolist()
            grid[y, x] = 2 * rng.integers(2)
            levels.append(Level(grid, (x, y), int(rng.integers(9)), bool(rng.integers(2))))
            mazes.set_state(0, state.with_level(levels[-1]).to_bytes())
            frames.append(mazes.observe()[1][0])
    batch = Levels.stack(levels)
    return {
        "edited_grid": batch.grid,
        "edited_mouse": batch.mouse,
        "edited_background": batch.background.astype(np.int64),
        "edited_reflected": batch.reflected,
        "edited_frame": checksums(np.stack(frames)),
        "edited_pixels": np.stack(frames[:WHOLE_FRAMES]),
    }


def choose_actions(mazes: ProcgenMazes, rng: np.random.Generator) -> NDArray[np.int64]:
    """An action each: the first mouse wanders until its time is up, the others mostly go for the cheese."""
    levels = Levels.stack([MazeState.parse(mazes.get_state(i)).to_level() for i in range(mazes.num_envs)])
    masks = best_moves(levels)[np.arange(len(levels)), levels.mouse[:, 1], levels.mouse[:, 0]]
    towards = MOVE_ACTION[np.log2(masks).astype(np.int64)]
    wanders = rng.random(len(levels)) < np.array([1.0, 0.2, 0.3, 0.4])
    return np.where(wanders, rng.integers(NUM_ACTIONS, size=len(levels)), towards)


def record_stream(mode: Mode, options: tuple[int, int, int], rng: np.random.Generator) -> Arrays:
    """Play in a vector of environments."""
    num_levels, start_level, rand_seed = options
    rows: dict[str, list[NDArray[Any]]] = {name: [] for name in ("action", "reward", "first", "seed", "frame")}
    with ProcgenMazes(STREAM_ENVS, mode, num_levels, start_level, rand_seed) as mazes:
        rows["seed"].append(mazes.info()["level_seed"])
        rows["frame"].append(checksums(mazes.observe()[1]))
        for _ in range(STREAM_STEPS):
            actions = choose_actions(mazes, rng)
            mazes.act(actions)
            reward, pixels, first = mazes.observe()
            rows["action"].append(actions.astype(np.uint8))
            rows["reward"].append(reward > 0)
            rows["first"].append(first)
            rows["seed"].append(mazes.info()["level_seed"])
            rows["frame"].append(checksums(pixels))
    return {f"stream_{name}": np.stack(row) for name, row in rows.items()}


def record_endings(mode: Mode) -> Arrays:
    """One step from a square beside a cheese, or on one, early and late in an episode."""
    world = MODES[mode]
    level = Level(np.zeros((world, world), np.uint8), (4, 4)).with_cheese((5, 4))
    cases = list(product((level, level.with_cheese((4, 4))), (0, 250, 498, 499), (1, 4, 7)))
    reward, first = [], []
    with ProcgenMazes(1, mode) as mazes:
        state = MazeState.parse(mazes.get_state(0))
        for start, steps, action in cases:
            mazes.set_state(0, state.with_level(start, steps).to_bytes())
            mazes.act([action])
            rewards, _, firsts = mazes.observe()
            reward.append(rewards[0])
            first.append(firsts[0])
    batch = Levels.stack([start for start, _, _ in cases])
    return {
        "ending_grid": batch.grid,
        "ending_mouse": batch.mouse,
        "ending_steps": np.array([steps for _, steps, _ in cases]),
        "ending_action": np.array([action for _, _, action in cases]),
        "ending_reward": np.array(reward),
        "ending_first": np.array(first),
    }


def record(mode: Mode) -> Arrays:
    """Everything about one mode; the same in every run."""
    rng = np.random.default_rng(0)
    options = zip(("num_levels", "start_level", "rand_seed"), np.array(STREAMS).T, strict=True)
    streams = [record_stream(mode, stream, rng) for stream in STREAMS]
    return {
        **record_levels(mode),
        **record_edited(mode, rng),
        **{f"stream_{name}": values for name, values in options},
        **{name: np.stack([stream[name] for stream in streams]) for name in streams[0]},
        **record_endings(mode),
    }


def main() -> None:
    """Record both modes and write the file."""
    arrays = {f"{mode}_{name}": array for mode in MODES for name, array in record(cast(Mode, mode)).items()}
    np.savez_compressed(GOLDEN, allow_pickle=False, **arrays)
    print(f"{GOLDEN.name}: {GOLDEN.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
