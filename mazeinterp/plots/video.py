"""Episodes as videos, several side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from ..analysis.walks import Episode
from .maze import TRAIL_COLOUR, draw_icon, draw_walls, icon_extent, level_name
from .style import INK, TEXT_SIZE, set_title

FPS = 10
"""Steps shown in a second."""

_PANEL = 4.0  # inches
_DPI = 100
_LAST = 15  # times that the last frame is shown
_COLOURS = 128  # of a GIF


def frames(episodes: Mapping[str, Episode]) -> Iterator[NDArray[np.uint8]]:
    """Draws episodes side by side, step by step; one that has ended waits for the others.

    Args:
        episodes: episodes by the names that stand above them: policies, for instance, in one level.

    Yields:
        uint8 [height, width, 3], RGB, a frame for the start and for each step of the longest episode; height and
        width are even.

    Raises:
        ValueError: if there are no episodes.
    """
    stage = _Stage(episodes)
    return (stage.frame(step) for step in range(stage.length))


def save_video(episodes: Mapping[str, Episode], file: str | Path, *, fps: float = FPS) -> Path:
    """Writes episodes side by side as a GIF, or as an MP4; the last frame stays a while.

    The MP4 is coded as VP9, which browsers play; a GIF is written several times faster.

    Args:
        episodes: as for `frames`.
        file: where; the name ends in .gif or .mp4. Its folder is made if need be.
        fps: steps shown in a second; players show GIFs with at most 50.

    Returns:
        The file's path.

    Raises:
        ValueError: for another ending, or as `frames`.
        OSError: if it cannot be written; nothing is half-written.
    """
    path = Path(file)
    writers = {".gif": _write_gif, ".mp4": _write_mp4}
    if path.suffix not in writers:
        raise ValueError(f"a video's name ends in {' or '.join(writers)}, {path.name!r} does not")
    stage = _Stage(episodes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        writers[path.suffix](stage, made, fps)
        made.replace(path)
    return path


class _Stage:
    """Mazes side by side, of which each frame redraws only what moves.

    Attributes:
        length: number of frames.
    """

    def __init__(self, episodes: Mapping[str, Episode]) -> None:
        if not episodes:
            raise ValueError("there is no episode to draw; give at least one")
        self._episodes = tuple(episodes.values())
        self.length = max(len(episode.squares) for episode in self._episodes)
        figure = Figure(figsize=(_PANEL * len(episodes), _PANEL + 0.7), dpi=_DPI, layout="constrained")
        self._canvas = _canvas(figure)
        self._axes = figure.subplots(1, len(episodes), squeeze=False)[0]
        self._moving = [_set_stage(ax, *named) for ax, named in zip(self._axes, episodes.items(), strict=True)]
        self._canvas.draw()  # settles the layout, with room for the text
        for artist in chain(*self._moving):
            artist.set_animated(True)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(figure.bbox)

    def frame(self, step: int) -> NDArray[np.uint8]:
        self._canvas.restore_region(self._still)
        for ax, episode, (trail, mouse, status) in zip(self._axes, self._episodes, self._moving, strict=True):
            squares = episode.squares[: step + 1]
            trail.set_data(*zip(*squares, strict=True))
            mouse.set_extent(icon_extent(squares[-1]))
            status.set_text(_status(episode, len(squares) - 1))
            for artist in (trail, mouse, status):
                ax.draw_artist(artist)
        pixels: NDArray[np.uint8] = np.asarray(self._canvas.buffer_rgba())[..., :3]
        return pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2].copy()


def _canvas(figure: Figure) -> Any:
    """Where a figure is drawn; `Any`, because matplotlib's types leave out the methods that are used here."""
    return FigureCanvasAgg(figure)


def _set_stage(ax: Axes, name: str, episode: Episode) -> tuple[Line2D, AxesImage, Text]:
    """Draws what stays, and gives what moves: the trail, the mouse, and what is said below the maze."""
    draw_walls(ax, episode.level)
    for square in episode.level.cheeses:
        draw_icon(ax, "cheese", square)
    set_title(ax, level_name(episode.level), name)
    (trail,) = ax.plot([], [], color=TRAIL_COLOUR, linewidth=2.2, alpha=0.7, solid_capstyle="round")
    mouse = draw_icon(ax, "mouse", episode.level.mouse)
    status = ax.text(0, -0.02, "step 0", transform=ax.transAxes, va="top", fontsize=TEXT_SIZE + 1, color=INK)
    return trail, mouse, status


def _write_gif(stage: _Stage, path: Path, fps: float) -> None:
    palette = Image.fromarray(stage.frame(stage.length - 1)).quantize(_COLOURS)  # one for all: no flicker
    images = (Image.fromarray(stage.frame(i)).quantize(palette=palette, dither=Image.Dither.NONE) for i in _bar(stage))
    durations = [1000 / fps] * (stage.length - 1) + [_LAST * 1000 / fps]
    next(images).save(path, save_all=True, append_images=images, duration=durations, loop=0)


def _write_mp4(stage: _Stage, path: Path, fps: float) -> None:
    height, width = stage.frame(0).shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"vp09"), fps, (width, height))
    for i in _bar(stage):
        for _ in range(1 if i < stage.length - 1 else _LAST):
            writer.write(stage.frame(i)[..., ::-1])
    writer.release()
    written, wanted = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT), stage.length - 1 + _LAST
    if written != wanted:  # OpenCV says nothing where it fails
        raise OSError(f"OpenCV wrote {written:g} of {wanted} frames of {path.name}; is the disk full?")


def _bar(stage: _Stage) -> tqdm[int]:
    return tqdm(range(stage.length), desc="video", unit="frame", delay=1, leave=False)


def _status(episode: Episode, step: int) -> str:
    """What stands below a maze after so many steps."""
    if step < len(episode.squares) - 1:
        return f"step {step}"
    return f"cheese after {step} steps" if episode.found else f"no cheese in {step} steps"
