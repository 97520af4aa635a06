"""Pictures of vectors taken elsewhere, moved, averaged and put together show the numbers that they are given."""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from mazeinterp.plots import plot_averages, plot_composition, plot_intervals, plot_transfer, plot_translation

mpl.use("Agg")

import matplotlib.pyplot as plt  # after the backend is chosen


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def removals(n: int, seed: int = 0) -> pd.DataFrame:
    """Removals with their intervals."""
    middle = np.random.default_rng(seed).uniform(0, 1, n)
    return pd.DataFrame({"removal": middle, "removal_low": middle - 0.1, "removal_high": middle + 0.2})


def heights(ax: plt.Axes, label: str) -> list[float]:
    """What the error bars of a label show."""
    (container,) = (each for each in ax.containers if each.get_label() == label)
    return np.asarray(container[0].get_ydata(), float).tolist()


def test_transfer_shows_each_band_and_its_pairs() -> None:
    bands = removals(6).assign(moved=[False, True] * 3, pairs=[4, 4, 7, 7, 9, 9])
    bands["from_distance"], bands["to_distance"] = np.repeat([0.0, 2.83, 12.0], 2), np.repeat([2.83, 12.0, 34.0], 2)
    shuffled = bands.sample(frac=1, random_state=0)
    ax = plot_transfer(shuffled, title="t")
    assert heights(ax, "as it is") == bands.loc[~bands["moved"], "removal"].tolist()
    assert heights(ax, "moved onto this maze's cheese") == bands.loc[bands["moved"], "removal"].tolist()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0–2.83\n4", "2.83–12\n7", "12–34\n9"]


def test_translation_puts_each_number_where_the_vector_went() -> None:
    places = [(right, up) for right in (-1, 0, 1) for up in (-1, 0, 1)]
    sweep = removals(9).assign(measure="p_cheese_move", right=[r for r, _ in places], up=[u for _, u in places])
    bases = pd.DataFrame({"measure": ["p_cheese_move"], "right": [np.nan], "up": [np.nan], "removal": [0.0]})
    ax = plot_translation(pd.concat([bases, sweep.sample(frac=1, random_state=1)]))
    texts = {tuple(map(int, text.xy)): text.get_text() for text in ax.texts}
    assert texts == {place: f"{value:.2f}" for place, value in zip(places, sweep["removal"], strict=True)}
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (-1.5, 1.5, -1.5, 1.5)
    shown = np.asarray(image.get_array(), float)
    for (x, y), value in zip(places, sweep["removal"], strict=True):
        assert shown[y + 1, x + 1] == value  # origin at the bottom: row 0 is one down


def test_averages_have_a_line_for_each_region() -> None:
    sweep = removals(6).assign(measure="p_cheese_move", mazes=[1, 32, 256] * 2, cheese_region=[None] * 3 + [5] * 3)
    ax = plot_averages(sweep.sample(frac=1, random_state=2))
    assert heights(ax, "their cheese anywhere") == sweep["removal"][:3].tolist()
    assert heights(ax, "their cheese in the top-right 5 × 5 cells") == sweep["removal"][3:].tolist()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "32", "256"]


def test_composition_marks_the_sum() -> None:
    terms = pd.DataFrame(
        {
            "measure": np.repeat(["p_cheese_move", "p_corner_move"], 4),
            "term": ["first", "second", "both", "interaction"] * 2,
            "edit": ["a", "b", "a + b", "a + b"] * 2,
            "estimate": [-0.4, -0.1, -0.45, 0.05, 0.3, 0.2, 0.4, -0.1],
        }
    )
    ax = plot_composition(terms.assign(low=terms["estimate"] - 0.1, high=terms["estimate"] + 0.1))
    marks = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "|" and len(line.get_xdata()) == 1]
    assert marks == pytest.approx([-0.5, 0.5])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first\na", "second\nb", "both", "interaction"]


def test_intervals_stand_beside_what_was_published() -> None:
    rows = pd.DataFrame({"label": ["x", "y"], "estimate": [0.1, 0.2], "low": [0.0, 0.1], "high": [0.3, 0.4]})
    ax = plot_intervals(rows.assign(published=[np.nan, 0.25]), reference=0)
    (container,) = ax.containers
    assert np.asarray(container[0].get_xdata()).tolist() == [0.1, 0.2]
    ends = container[2][0].get_segments()
    assert [segment[:, 0].tolist() for segment in ends] == [pytest.approx([0.0, 0.3]), pytest.approx([0.1, 0.4])]
    diamonds = next(each for each in ax.collections if each.get_label() == "published")
    assert np.ma.getdata(diamonds.get_offsets())[-1].tolist() == [0.25, 1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x", "y"]
    with pytest.raises(ValueError, match="the table lacks published"):
        plot_intervals(rows)
