"""Pictures of channels: what lies where, what is named, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from planted import Planted

from mazeinterp import Level
from mazeinterp.edits import cell_of, squares_of
from mazeinterp.maze import Levels
from mazeinterp.plots import plot_activations, plot_channel_grid, plot_channel_scores, plot_probes

LEVEL = Level.from_seed(0)
POLICY = Planted(("cheese", "mouse", "noise"))


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def map_of(ax: Axes) -> AxesImage:
    return next(image for image in ax.get_images() if image.get_array().shape == (16, 16))  # type: ignore[union-attr]


def square_at(ax: Axes, row: int, column: int) -> tuple[float, float]:
    """The middle of a cell as it is drawn, in world coordinates."""
    left, right, bottom, top = map_of(ax).get_extent()
    return left + (column + 0.5) * (right - left) / 16, top - (row + 0.5) * (top - bottom) / 16


def test_a_map_lies_where_its_cells_look() -> None:
    (ax,) = plot_activations(POLICY, LEVEL, "maps", 0)
    array = np.asarray(map_of(ax).get_array())
    row, column = np.argwhere(array == 1)[0].tolist()
    assert LEVEL.cheese is not None
    assert (row, column) == cell_of(LEVEL.cheese, 16)
    for cell in ((0, 0), (3, 12), (15, 15), (8, 7)):
        middle = np.mean(squares_of(cell, 16), axis=0)
        assert np.abs(square_at(ax, *cell) - middle).max() < 0.6  # squares share cells, so their middle is not exact


def test_panels_follow_the_levels_in_one_scale() -> None:
    squares = [(7, 6), (12, 10), (18, 18)]
    panels = plot_activations(POLICY, [LEVEL.with_cheese(square) for square in squares], "maps", 0)
    assert len(panels) == 3
    for ax, square in zip(panels, squares, strict=True):
        assert np.argwhere(np.asarray(map_of(ax).get_array()) == 1).tolist() == [list(cell_of(square, 16))]
        assert map_of(ax).norm.vmax == 1
        assert any(str(square) in text.get_text() for text in ax.texts)
        assert "planted" in ax.texts[0].get_text()


def ranking(scores: list[float]) -> pd.DataFrame:
    frame = pd.DataFrame({"layer": "maps", "channel": range(len(scores)), "score": scores, "threshold": 0.5})
    return frame.assign(found=frame["score"] > 0.5)


def test_a_grid_shows_the_best_first() -> None:
    panels = plot_channel_grid(POLICY, LEVEL, ranking([0.2, 0.9, 0.6]), top=2)
    assert [ax.get_title(loc="left") for ax in panels] == ["Channel 1: 0.90", "Channel 2: 0.60"]
    assert np.asarray(map_of(panels[0]).get_array())[cell_of(LEVEL.mouse, 16)] == 1
    worst = plot_channel_grid(POLICY, LEVEL, ranking([0.2, 0.9, 0.6]))[2]
    assert worst.texts[0].get_text().startswith("not found")


def test_scores_stand_against_the_threshold() -> None:
    scores = pd.concat([ranking([0.2, 0.9, 0.6]).assign(layer=layer) for layer in ("b", "embedder.block1.conv_out")])
    ax = plot_channel_scores(scores, policy="planted")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["block1.conv", "b"]
    dots = np.concatenate([np.asarray(collection.get_offsets()) for collection in ax.collections])
    assert sorted(dots[:, 0].tolist()) == [0.2, 0.2, 0.6, 0.6, 0.9, 0.9]
    assert sorted(text.get_text() for text in ax.texts if text.get_text() in "12") == ["1", "1", "2", "2"]
    table = scores.rename(columns={"score": "chosen_score"}).assign(measure="tracks", estimate=0.0)
    other = plot_channel_scores(pd.concat([table, table.assign(measure="located", chosen_score=0.0)]))
    assert len(other.collections) == len(ax.collections)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="maps has channels 0 to 2, no 3"):
        plot_activations(POLICY, LEVEL, "maps", 3)
    with pytest.raises(ValueError, match="features has no cells"):
        plot_activations(POLICY, LEVEL, "features")
    with pytest.raises(ValueError, match="1 axes are given for 2 panels"):
        plot_activations(POLICY, Levels.stack([LEVEL, LEVEL]), "maps", axes=[plt.subplots()[1]])
    with pytest.raises(ValueError, match="the table lacks found"):
        plot_channel_grid(POLICY, LEVEL, ranking([0.1]).drop(columns="found"))
    with pytest.raises(ValueError, match="top is 0"):
        plot_channel_grid(POLICY, LEVEL, ranking([0.1]), top=0)
    with pytest.raises(ValueError, match="no scores"):
        plot_channel_scores(ranking([]))


def test_probes_stand_beside_their_shuffled_labels_and_chance() -> None:
    rows = [
        {"layer": layer, "target": target, "probe": probe, "labels": labels, "measure": "auc", "chance": 0.5}
        | {"estimate": 0.9 if labels == "true" else 0.48, "low": 0.4, "high": 0.95}
        for layer in ("embedder.block1.conv_out", "embedder.relu3_out")
        for target in ("cheese", "wall")
        for probe in ("full", "sparse", "means")
        for labels in ("true", "shuffled")
    ]
    ax = plot_probes(pd.DataFrame(rows), title="Probes", subtitle="planted")
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["cheese, block1.conv", "cheese, relu3", "wall, block1.conv", "wall, relu3"]
    spots = [(tuple(spot.get_offsets()[0]), tuple(spot.get_facecolor()[0])) for spot in ax.collections]  # type: ignore[index]
    assert len(spots) == 4 * 3 * 2
    for (x, _), colour in spots:
        assert (x == 0.48) == (colour == (1, 1, 1, 1))  # hollow where labels are shuffled
    ticks = [line for line in ax.lines if line.get_color() == "#23272f"]
    assert [list(line.get_xdata()) for line in ticks] == [[0.5, 0.5]] * 4
    with pytest.raises(ValueError, match="chance"):
        plot_probes(pd.DataFrame(rows).drop(columns="chance"))
    with pytest.raises(ValueError, match="nonsense"):
        plot_probes(pd.DataFrame(rows), measure="nonsense")
