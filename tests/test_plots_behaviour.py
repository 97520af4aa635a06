"""Pictures of behaviour hold the numbers of their tables, and refuse tables that are not theirs."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from mazeinterp.analysis.behaviour import FEATURES
from mazeinterp.analysis.minimal_pairs import KINDS
from mazeinterp.analysis.regressions import MODELS, PUBLISHED_COEFFICIENTS, SIX, THREE
from mazeinterp.plots.behaviour import (
    FEATURE_LABELS,
    plot_agreement,
    plot_coefficients,
    plot_influence,
    plot_minimal_pairs,
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def points(ax: Axes) -> list[list[float]]:
    """The numbers of every line of points: across, then up."""
    return [np.asarray(line.get_data(), float).ravel().tolist() for line in ax.lines if line.get_marker() == "o"]


def coefficient_table() -> pd.DataFrame:
    rows = [
        {"model": model, "feature": name, "coefficient": 0.1 * i, "low": 0.1 * i - 0.05, "high": 0.1 * i + 0.1}
        for model in ("six", "ten")
        for i, name in enumerate(("intercept", *MODELS[model]))
    ]
    return pd.DataFrame(rows).assign(outcome="found", l1=0.0, n=321)


def test_coefficients_stand_beside_the_published_ones() -> None:
    ax = plot_coefficients(coefficient_table(), policy="some mouse")
    assert [label.get_text() for label in ax.get_yticklabels()] == [FEATURE_LABELS[name] for name in SIX]
    assert points(ax)[0][: len(SIX)] == pytest.approx([0.1 * (1 + i) for i in range(len(SIX))])
    diamonds = ax.collections[-1].get_offsets()
    assert sorted(diamonds[:, 0]) == pytest.approx(sorted(PUBLISHED_COEFFICIENTS["six"][name] for name in SIX))
    figure_text = " ".join(text.get_text() for text in ax.texts)
    assert "some mouse" in figure_text
    assert "321 levels" in figure_text.replace("\n", " ")
    assert plot_coefficients(coefficient_table(), model="ten").get_title(loc="left")
    with pytest.raises(ValueError, match="no regression 'three' of 'found'"):
        plot_coefficients(coefficient_table(), model="three")
    with pytest.raises(ValueError, match="no regression 'six' of 'found' without penalty; there are none"):
        plot_coefficients(coefficient_table().assign(l1=1.0))


def test_influence_is_the_mean_of_each_bin() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({name: rng.random(400) * 20 for name in FEATURES})
    data["found"] = (data[THREE[0]] < 10).astype(float)
    data.loc[:9, "found"] = np.nan
    axes = plot_influence(data, bins=4)
    assert len(axes) == 3
    known = data[10:]
    bins = known.groupby(pd.qcut(known[THREE[0]], 4), observed=True)
    assert points(axes[0])[0] == pytest.approx([*bins[THREE[0]].mean(), *bins["found"].mean()])
    with pytest.raises(ValueError, match="bins is 1"):
        plot_influence(data, bins=1)
    with pytest.raises(ValueError, match="0 levels have found"):
        plot_influence(data.assign(found=np.nan))
    with pytest.raises(ValueError, match="lacks p_cheese"):
        plot_influence(data, outcome="p_cheese")


def test_minimal_pairs_have_their_differences_and_controls_in_grey() -> None:
    rows = [
        {"kind": kind, "change": 3.0 if expected.varies else np.nan, "difference": -0.1 * i, "p_holm": 0.01 * (i + 3)}
        for i, (kind, expected) in enumerate(KINDS.items())
    ]
    table = pd.DataFrame(rows).assign(measure="p_cheese_move", n=50)
    table = table.assign(low=table["difference"] - 0.05, high=table["difference"] + 0.05)
    ax = plot_minimal_pairs(table)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == FEATURE_LABELS["steps_cheese_decision"] + "  (+3.0 steps)"
    assert labels[-1] == FEATURE_LABELS["control_cheese"]
    (measured,) = points(ax)
    assert measured == pytest.approx([0, -0.1, -0.2, -0.3, 0, 1, 2, 3])
    texts = [text.get_text() for text in ax.texts]
    assert "−0.100 *" in texts  # p = 0.04
    assert "−0.200" in texts  # p = 0.05
    with pytest.raises(ValueError, match="no row has the measure 'p_cheese'"):
        plot_minimal_pairs(table, measure="p_cheese")


def test_agreement_is_drawn_for_each_set_of_levels() -> None:
    ranges = pd.DataFrame({"mean_steps": [2.0, 5.0], "estimate": [0.7, 0.8], "low": 0.6, "high": 0.9, "chance": 0.4})
    ax = plot_agreement(pd.concat([ranges.assign(levels="test"), ranges.assign(levels="training")]))
    assert points(ax) == [[2.0, 5.0, 0.7, 0.8]] * 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["test", "training", "a random neighbour"]
    with pytest.raises(ValueError, match="lacks chance"):
        plot_agreement(ranges.drop(columns="chance"), by="low")
