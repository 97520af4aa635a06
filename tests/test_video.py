"""Videos show the episodes that the tables count, frame by frame, and read back as they were written."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support import painted

from mazeinterp.analysis import Episode, sample_episodes, tabulate, walk
from mazeinterp.maze import Level, generate
from mazeinterp.plots import frames, save_video
from mazeinterp.plots import video as video_module
from mazeinterp.policy.network import PolicyOutput

MAZE = generate(5, 0)


class Fixed:
    """A policy that answers every observation with the same logits."""

    def __init__(self, **actions: float) -> None:
        numbers = {"left": 1, "right": 7, "up": 5, "down": 3, "stay": 4}
        self.logits = torch.zeros(15)
        if actions:
            self.logits[:] = -torch.inf
        for move, logit in actions.items():
            self.logits[numbers[move]] = logit

    def __call__(self, obs: Any, *, levels: Any = None, rows: Any = None) -> PolicyOutput:
        return PolicyOutput(self.logits.expand(len(obs), 15), torch.zeros(len(obs)))


def stroll(level: Level, length: int) -> Episode:
    """An episode in which the mouse goes to and fro between its square and a neighbour."""
    x, y = level.mouse
    there = next((x + dx, y + dy) for dx, dy in ((1, 0), (0, 1)) if level.grid[y + dy, x + dx] == 0)
    return Episode(level, tuple((level.mouse, there)[i % 2] for i in range(length + 1)))


# Episodes


@given(painted().filter(lambda level: level.mouse not in level.cheeses), st.integers(0, 2**40), st.booleans())
@settings(max_examples=15)
def test_a_walk_is_the_episode_that_tables_count(level: Level, seed: int, drifts: bool) -> None:
    policy = Fixed(up=0.0, right=0.0, left=-1.0, down=-1.5) if drifts else Fixed()
    episode = walk(policy, level, seed=seed, horizon=60)
    (counted,) = sample_episodes(tabulate(policy, level), seed=seed, horizon=60).itertuples()
    assert (len(episode.squares) - 1, episode.found) == (counted.steps, counted.found)
    assert episode.squares[0] == level.mouse
    for (x, y), (i, j) in pairwise(episode.squares):
        assert abs(x - i) + abs(y - j) <= 1
        assert level.grid[j, i] != 1
    assert not set(episode.squares[:-1]) & set(level.cheeses)


def test_the_greedy_mouse_takes_the_likeliest_move() -> None:
    level = MAZE.without_cheese()
    policy = Fixed(right=0.1, left=0.0)
    squares = walk(policy, level, greedy=True, horizon=10).squares
    assert [x for x, _ in squares] == sorted(x for x, _ in squares)
    assert len(squares) == 11


def test_a_walk_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon is 501"):
        walk(Fixed(), MAZE, horizon=501)
    with pytest.raises(ValueError, match="starts on the cheese"):
        walk(Fixed(), MAZE.with_cheese(MAZE.mouse))


# Frames


def test_there_is_a_frame_for_the_start_and_each_step_of_the_longest() -> None:
    long, short = stroll(MAZE, 7), stroll(MAZE, 3)
    shown = list(frames({"long": long, "short": short}))
    assert len(shown) == 8
    half = shown[0].shape[1] // 2
    assert all(frame.dtype == np.uint8 and frame.shape == shown[0].shape for frame in shown)
    left, right = ([frame[:, side] for frame in shown] for side in (slice(half), slice(half, None)))
    assert all((a != b).any() for a, b in pairwise(left))
    assert all((a != b).any() for a, b in pairwise(right[:4]))
    assert all((frame == right[3]).all() for frame in right[3:])  # it waits


@pytest.mark.parametrize("n", [1, 2, 3])
def test_episodes_stand_side_by_side(n: int) -> None:
    (one,) = frames({"a": stroll(MAZE, 0)})
    (frame,) = frames({f"{i}": stroll(MAZE, 0) for i in range(n)})
    assert frame.shape == (one.shape[0], n * one.shape[1], 3)
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0


def brightness(frame: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the frame has the floor's colour."""
    return (np.abs(frame.astype(int) - (250, 247, 240)).max(axis=2) < 6) & (frame.sum(axis=2) < 3 * 252)


def test_the_mouse_is_drawn_where_it_stands() -> None:
    """What covers the floor moves by one cell, to the right or up, from the first frame to the second."""
    first, second = frames({"a": stroll(MAZE, 1)})
    left, arrived = (brightness(a) & ~brightness(b) for a, b in ((second, first), (first, second)))
    (y0, x0), (y1, x1) = (np.argwhere(place).mean(axis=0) for place in (left, arrived))
    (x, y), (i, j) = stroll(MAZE, 1).squares
    cell = 400 / 7  # 5 squares and one of wall on each side
    assert (x1 - x0, y0 - y1) == pytest.approx(((i - x) * cell, (j - y) * cell), abs=cell / 3)


def test_no_figure_is_left_and_no_setting_is_changed() -> None:
    plt.get_backend()  # chosen on first use
    before = mpl.rcParams.copy()
    list(frames({"a": stroll(MAZE, 1)}))
    assert not plt.get_fignums()
    assert before == mpl.rcParams


def test_nothing_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no episode"):
        frames({})
    with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4, 'a\.avi' does not"):
        save_video({"a": stroll(MAZE, 1)}, tmp_path / "a.avi")
    assert not list(tmp_path.iterdir())


# Files


def test_a_gif_reads_back(tmp_path: Path) -> None:
    episodes = {"a": stroll(MAZE, 5), "b": stroll(MAZE, 2)}
    path = save_video(episodes, tmp_path / "new" / "a.gif", fps=10)
    expected = list(frames(episodes))
    with Image.open(path) as gif:
        assert gif.n_frames == len(expected)
        assert gif.info["loop"] == 0
        for i, frame in enumerate(expected):
            gif.seek(i)
            assert gif.info["duration"] == (100 if i < len(expected) - 1 else 1500)
            assert np.abs(np.asarray(gif.convert("RGB")).astype(int) - frame).mean() < 2
    assert [file.name for file in path.parent.iterdir()] == ["a.gif"]


def test_an_mp4_reads_back(tmp_path: Path) -> None:
    episodes = {"a": stroll(MAZE, 2)}
    path = save_video(episodes, tmp_path / "a.mp4", fps=5)
    expected = list(frames(episodes))
    expected += [expected[-1]] * 14
    film = cv2.VideoCapture(str(path))
    assert film.get(cv2.CAP_PROP_FPS) == 5
    for frame in expected:
        read, image = film.read()
        assert read
        assert image.shape == frame.shape
        assert np.abs(image[..., ::-1].astype(int) - frame).mean() < 4
    assert not film.read()[0]
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


def test_a_film_cut_short_is_no_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"the old one")

    real = cv2.VideoWriter

    class Full:  # not a subclass: OpenCV's objects cannot take one, the garbage collector breaks on it
        fourcc = real.fourcc

        def __init__(self, *arguments: Any) -> None:
            self.writer = real(*arguments)

        def write(self, image: Any) -> None:
            """A full disk: OpenCV drops the frame and says nothing."""

        def release(self) -> None:
            self.writer.release()

    monkeypatch.setattr(video_module.cv2, "VideoWriter", Full)
    with pytest.raises(OSError, match="is the disk full"):
        save_video({"a": stroll(MAZE, 2)}, tmp_path / "a.mp4")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.mp4", b"the old one")]
