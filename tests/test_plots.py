"""Pictures show the numbers that they are given, where they belong, and leave nothing behind."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer
from matplotlib.image import AxesImage
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.quiver import Quiver
from numpy.typing import NDArray
from support import painted

from mazeinterp.analysis import VectorField
from mazeinterp.maze import Level, corner, decision_square, generate, picture
from mazeinterp.plots import (
    plot_comparison,
    plot_decisions,
    plot_dose_response,
    plot_field,
    plot_field_change,
    plot_layer_sweep,
    plot_maze,
    plot_path_probabilities,
    plot_success,
    plot_training,
)
from mazeinterp.plots.style import BLUE, CYCLE, HEAT, ORANGE
from mazeinterp.policy.network import LAYERS

mpl.use("Agg")

import matplotlib.pyplot as plt  # after the backend is chosen

SIZES = (5, 13, 25)

CORRIDOR = Level.from_text(
    "mode=easy\n" + "\n".join("#" * 15 if y != 7 else "###M...C.######" for y in range(14, -1, -1))
)
"""One row of open squares, (3, 7) to (8, 7), the cheese at (7, 7)."""


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def field_of(level: Level, seed: int = 0) -> VectorField:
    """A field of random moves, NaN off the free squares."""
    rng = np.random.default_rng(seed)
    moves = rng.dirichlet(np.full(5, 0.4), level.grid.shape).astype(np.float32)
    value = rng.random(level.grid.shape).astype(np.float32)
    moves[level.grid != 0], value[level.grid != 0] = np.nan, np.nan
    return VectorField(level, False, moves, value)


def certain(level: Level, move: int) -> VectorField:
    """A field of one certain move: 0 left, 1 right, 2 up, 3 down, 4 stay."""
    moves = np.full((*level.grid.shape, 5), np.nan, np.float32)
    moves[level.grid == 0] = np.eye(5)[move]
    return VectorField(level, False, moves, moves[..., 0])


def maze_with_decision(maze_dim: int) -> Level:
    return next(level for level in (generate(maze_dim, seed) for seed in range(99)) if decision_square(level))


def only(ax: Axes, kind: type) -> Any:
    (artist,) = [artist for artist in ax.get_children() if isinstance(artist, kind)]
    return artist


def images_at(ax: Axes) -> list[tuple[float, float]]:
    """Centres of the pictures of about a square's size, icons that is, in the order in which they are drawn."""
    extents = [image.get_extent() for image in ax.images]
    return [((x0 + x1) / 2, (y0 + y1) / 2) for x0, x1, y0, y1 in extents if abs(x1 - x0) < 1]


def decisions() -> pd.DataFrame:
    rows = [
        {"condition": condition, "level": i, "seed": 100 + i, "p_cheese_move": p}
        for condition, ps in (("unedited", (0.2, 0.9, 0.5, np.nan)), ("blind", (0.1, 0.3, 0.7, np.nan)))
        for i, p in enumerate(ps)
    ]
    return pd.DataFrame(rows)


def comparison() -> pd.DataFrame:
    rows = [
        {"policy": policy, "measure": measure, "estimate": p, "low": p - 0.1, "high": p + 0.05, "n": 40}
        for policy, ps in (("near", (0.25, 0.5)), ("far", (0.75, 0.125)))
        for measure, p in zip(("p_cheese_move", "p_corner_move"), ps, strict=True)
    ]
    return pd.DataFrame(rows)


def summary() -> pd.DataFrame:
    rows = [
        {"policy": policy, "choice": choice, "from_dim": low, "to_dim": high, "measure": "success"}
        | {"estimate": p, "low": p - 0.1, "high": p + 0.1}
        for policy, choice, p in (("net", "sampled", 0.8), ("net", "greedy", 0.6), ("random", "sampled", 0.2))
        for low, high in ((3, 25), (25, 25), (3, 3), (13, 13))
    ]
    return pd.DataFrame(rows).assign(estimate=lambda table: table["estimate"] - table["from_dim"] / 1000)


def sweep(axis: str, points: list[Any]) -> pd.DataFrame:
    rows = [
        {"vector": vector, axis: point, "estimate": 0.3 + 0.01 * i + 0.2 * (vector == "cheese")}
        for vector in ("cheese", "shuffled(cheese)")
        for i, point in enumerate(points)
    ]
    rows += [{"vector": "unedited", axis: None, "estimate": 0.6}, {"vector": "no cheese", axis: None, "estimate": 0.1}]
    table = pd.DataFrame(rows).assign(measure="p_cheese_move")
    table["low"], table["high"] = table["estimate"] - 0.1, table["estimate"] + 0.05
    table["removal"] = ((0.6 - table["estimate"]) / 0.5).where(table["vector"] != "unedited")
    return table.assign(removal_low=table["removal"] - 0.2, removal_high=table["removal"] + 0.3)


def log(n: int = 40) -> pd.DataFrame:
    step = np.arange(1, n + 1)
    return pd.DataFrame({"step": step * 1000, "seconds": step, "loss": 1 / step, "success": step / n})


LEVEL = maze_with_decision(7)
ONE: dict[str, Callable[..., Axes]] = {
    "maze": lambda ax=None: plot_maze(LEVEL, ax, path=[(9, 9), (9, 10)], decision=True),
    "field": lambda ax=None: plot_field(field_of(LEVEL), ax, policy="net", decision=True),
    "paths": lambda ax=None: plot_path_probabilities(field_of(LEVEL), ax, policy="net", decision=True),
    "decisions": lambda ax=None: plot_decisions(decisions(), ax),
    "comparison": lambda ax=None: plot_comparison(comparison(), ax),
    "success": lambda ax=None: plot_success(summary(), ax, baselines=("random",)),
    "dose": lambda ax=None: plot_dose_response(sweep("coefficient", [-1.0, 0.0, 1.0]), ax),
    "layers": lambda ax=None: plot_layer_sweep(sweep("layer", list(LAYERS[:4])), ax),
}
SEVERAL: dict[str, tuple[int, Callable[..., tuple[Axes, ...]]]] = {
    "change": (3, lambda axes=None: plot_field_change(field_of(LEVEL), field_of(LEVEL, 1), axes, decision=True)),
    "training": (2, lambda axes=None: plot_training(log(), axes)),
}


# What holds for every picture


@pytest.mark.parametrize("name", ONE)
def test_a_picture_goes_where_it_is_told_or_to_one_new_figure(name: str) -> None:
    before = mpl.rcParams.copy()
    ax = ONE[name]()
    assert plt.get_fignums() == [ax.figure.number]
    figure, (left, right) = plt.subplots(1, 2)
    assert ONE[name](right) is right
    assert len(plt.get_fignums()) == 2
    assert not left.has_data()
    assert not left.get_title(loc="left")
    figure.canvas.draw()
    ax.figure.canvas.draw()
    assert before == mpl.rcParams


@pytest.mark.parametrize("name", SEVERAL)
def test_panels_go_where_they_are_told_or_to_one_new_figure(name: str) -> None:
    n, draw = SEVERAL[name]
    before = mpl.rcParams.copy()
    made = draw()
    assert len(made) == n
    assert plt.get_fignums() == [made[0].figure.number]
    figure, axes = plt.subplots(n, 1)
    assert draw(list(axes)) == tuple(axes)
    assert len(plt.get_fignums()) == 2
    with pytest.raises(ValueError, match=f"{n + 1} axes are given for {n} panels"):
        draw([*axes, axes[0]])
    figure.canvas.draw()
    assert before == mpl.rcParams


@pytest.mark.parametrize("name", ONE)
def test_a_picture_fits_a_small_figure(name: str) -> None:
    """Layouts that do not fit warn."""
    figure, ax = plt.subplots(figsize=(4, 4), layout="constrained")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ONE[name](ax)
        figure.canvas.draw()


@pytest.mark.parametrize(
    ("draw", "table"),
    [
        (plot_decisions, decisions()),
        (plot_comparison, comparison()),
        (plot_success, summary()),
        (plot_dose_response, sweep("coefficient", [0.0, 1.0])),
        (plot_layer_sweep, sweep("layer", ["a", "b"])),
    ],
)
def test_a_table_without_a_column_is_refused(draw: Callable[[pd.DataFrame], Axes], table: pd.DataFrame) -> None:
    needed = "p_cheese_move" if draw is plot_decisions else "estimate"
    with pytest.raises(ValueError, match=f"lacks {needed}; it has .* makes such a table"):
        draw(table.drop(columns=needed))
    assert not plt.get_fignums()


# Mazes


@pytest.mark.parametrize("maze_dim", SIZES)
@pytest.mark.parametrize("mode", ["hard", "easy"])
def test_a_maze_is_cut_to_its_open_squares_and_one_cell_around(maze_dim: int, mode: str) -> None:
    if maze_dim > 15 and mode == "easy":
        maze_dim = 15
    level = generate(maze_dim, 0, mode)
    ax = plot_maze(level)
    first, last = level.margin - 1, level.margin + maze_dim
    assert ax.get_xlim() == ax.get_ylim() == (first - 0.5, last + 0.5)
    assert ax.get_aspect() == 1


@given(painted(), st.integers(0, 4))
@hypothesis_settings(max_examples=25)
def test_walls_and_floor_look_as_in_the_picture(level: Level, seed: int) -> None:
    """The colour at any square's centre, against the pixels of `picture`."""
    ax = plot_maze(level)
    ground = next(image for image in ax.images if not images_at_one(image))
    x0, x1, y0, y1 = ground.get_extent()
    pixels, cell = picture(level, level.world * 9), 9
    blank = set(zip(*np.nonzero(level.grid.T != 2), strict=True)) - {level.mouse}
    rng = np.random.default_rng(seed)
    for x, y in rng.permutation(sorted(blank))[:40].tolist():
        if x0 < x < x1 and y0 < y < y1:
            shown = ground.get_array()[int(y - y0), int(x - x0)]
            assert (shown == pixels[(level.world - 1 - y) * cell + 4, x * cell + 4]).all()
        else:
            assert level.grid[y, x] == 1
    plt.close(ax.figure)


def images_at_one(image: AxesImage) -> bool:
    x0, x1, _, _ = image.get_extent()
    return bool(abs(x1 - x0) < 1)


@given(painted())
@hypothesis_settings(max_examples=25)
def test_every_side_between_wall_and_floor_has_a_line(level: Level) -> None:
    ax = plot_maze(level)
    lines = {tuple(map(tuple, np.asarray(segment).tolist())) for segment in only(ax, LineCollection).get_segments()}
    expected = set()
    for y, x in np.argwhere(level.grid != 1).tolist():
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            i, j = x + dx, y + dy
            if not (0 <= i < level.world and 0 <= j < level.world) or level.grid[j, i] == 1:
                middle, along = (x + dx / 2, y + dy / 2), (abs(dy) / 2, abs(dx) / 2)
                expected.add(
                    ((middle[0] - along[0], middle[1] - along[1]), (middle[0] + along[0], middle[1] + along[1]))
                )
    assert lines == expected
    plt.close(ax.figure)


@given(painted())
@hypothesis_settings(max_examples=10)
def test_mouse_and_cheeses_stand_on_their_squares(level: Level) -> None:
    ax = plot_maze(level)
    assert images_at(ax) == [*level.cheeses, level.mouse]
    plt.close(ax.figure)


def test_titles_name_the_level() -> None:
    level = Level.from_seed(7)
    assert plot_maze(level).get_title(loc="left") == f"Level 7, {level.maze_dim} × {level.maze_dim}"
    assert "(edited)" in plot_maze(level.without_cheese()).get_title(loc="left")
    assert plot_maze(CORRIDOR).get_title(loc="left") == "Own maze, easy"
    assert plot_maze(level, title="before").get_title(loc="left") == "Before"


def test_a_path_joins_its_squares() -> None:
    path = [(3, 7), (4, 7), (5, 7)]
    (line,) = plot_maze(CORRIDOR, path=path).lines
    assert line.get_xydata().tolist() == [list(square) for square in path]


@pytest.mark.parametrize("maze_dim", SIZES)
def test_marks_stand_on_decision_square_and_corner(maze_dim: int) -> None:
    level = maze_with_decision(maze_dim)
    ax = plot_maze(level, decision=True)
    decision = decision_square(level)
    assert decision is not None
    assert only(ax, Circle).center == decision.square
    frame = only(ax, FancyBboxPatch)
    centre = frame.get_x() + frame.get_width() / 2, frame.get_y() + frame.get_height() / 2
    assert centre == pytest.approx(corner(level)[0])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["decision square", "corner"]


@pytest.mark.parametrize("draw", [plot_maze, lambda level, **options: plot_field(field_of(level), **options)])
def test_a_level_without_decision_square_has_none_to_mark(draw: Callable[..., Axes]) -> None:
    with pytest.raises(ValueError, match=r"level 7 .* has no decision square to mark"):
        draw(Level.from_seed(7).without_cheese(), decision=True)


# Vector fields


def arrows_of(ax: Axes) -> dict[tuple[int, int], tuple[float, float]]:
    quiver = only(ax, Quiver)
    at = quiver.get_offsets().astype(int).tolist()
    return {(x, y): (u, v) for (x, y), u, v in zip(at, quiver.U.tolist(), quiver.V.tolist(), strict=True)}


@pytest.mark.parametrize("maze_dim", SIZES)
def test_each_free_square_has_its_arrow_and_no_other_square_has(maze_dim: int) -> None:
    field = field_of(generate(maze_dim, 1))
    arrows = arrows_of(plot_field(field))
    assert set(arrows) == {(x, y) for y, x in np.argwhere(field.level.grid == 0).tolist()}
    for (x, y), arrow in arrows.items():
        left, right, up, down, _ = field.moves[y, x].tolist()
        assert arrow == pytest.approx((right - left, up - down), abs=1e-6)


def drawn(ax: Axes) -> list[NDArray[np.float64]]:
    """The corners of each arrow, in cells from the centre of its square, as they come out on the page."""
    ax.figure.canvas.draw()
    quiver = only(ax, Quiver)
    cell = np.diff(ax.transData.transform([(0, 0), (1, 1)]), axis=0)[0]
    return [quiver.get_transform().transform_path(path).vertices / cell for path in quiver.get_paths()]


@pytest.mark.parametrize("maze_dim", SIZES)
@pytest.mark.parametrize(("move", "direction"), list(enumerate([(-1, 0), (1, 0), (0, 1), (0, -1)])))
def test_a_certain_move_has_an_arrow_that_fills_its_square(
    maze_dim: int, move: int, direction: tuple[int, int]
) -> None:
    ax = plot_field(certain(generate(maze_dim, 2), move))
    for vertices in drawn(ax):
        assert np.abs(vertices).max() < 0.5
        along, across = vertices @ np.array(direction), vertices @ np.array(direction)[::-1]
        assert np.ptp(along) == pytest.approx(0.86, rel=0.02)
        assert np.abs(along[np.abs(across).argmax()]) < along.max()  # the head's barbs are behind its tip
        assert along[np.abs(across).argmax()] > 0  # and the head is in front


def test_a_move_that_cancels_leaves_a_dot() -> None:
    for vertices in drawn(plot_field(certain(generate(5, 2), 4))):
        assert 0 < np.ptp(vertices, axis=0).max() < 0.2


def test_titles_name_level_policy_and_facing() -> None:
    field = field_of(Level.from_seed(3))
    ax = plot_field(field, policy="net + add(cheese, -1.0)")
    assert ax.get_title(loc="left") == "Level 3, 5 × 5"
    assert "net + add(cheese, -1.0)" in [text.get_text() for text in ax.texts]
    ax = plot_field(VectorField(field.level, True, field.moves, field.value))
    assert "mouse reflected" in ax.get_title(loc="left")


def test_a_long_name_is_wrapped_within_its_axes() -> None:
    name = " + ".join(f"add(shuffled(cheese, seed={i}), -1.0)" for i in range(4))
    ax = plot_field(field_of(LEVEL), policy=name)
    ax.figure.canvas.draw()
    (text,) = [text for text in ax.texts if "shuffled" in text.get_text()]
    assert " ".join(text.get_text().split()) == name
    assert text.get_window_extent().width <= ax.get_window_extent().width * 1.02
    assert text.get_window_extent().y1 <= ax._left_title.get_window_extent().y0 + 3


def test_a_change_shows_both_fields_and_their_difference() -> None:
    before, after = field_of(LEVEL, 0), field_of(LEVEL.without_cheese(), 1)
    axes = plot_field_change(before, after, policies=("net", "net + zero(5)"))
    titles = [ax.get_title(loc="left") for ax in axes]
    assert [title.split(": ")[-1] for title in titles] == ["before", "after", "Difference"]
    for ax, field in zip(axes, (before, after), strict=False):
        assert arrows_of(ax) == arrows_of(plot_field(field))
    difference = arrows_of(axes[2])
    assert set(difference) == set(arrows_of(axes[0]))  # the cheese's square is not free in both
    for square, arrow in difference.items():
        assert arrow == pytest.approx(np.subtract(arrows_of(axes[1])[square], arrows_of(axes[0])[square]), abs=1e-6)
    (tint,) = [image for image in axes[2].images if image.get_cmap() is HEAT]
    assert tint.get_extent() == [-0.5, 24.5, -0.5, 24.5]
    for x, y in difference:
        distance = 0.5 * np.abs(before.moves[y, x] - after.moves[y, x]).sum()
        assert tint.get_array()[y, x] == pytest.approx(distance, abs=1e-6)
    assert np.ma.getmaskarray(tint.get_array())[LEVEL.grid != 0].all()
    assert (tint.norm.vmin, tint.norm.vmax) == (0, 1)


def test_a_reversal_still_fits_its_square() -> None:
    axes = plot_field_change(certain(LEVEL, 0), certain(LEVEL, 1))
    for vertices in drawn(axes[2]):
        assert np.abs(vertices).max() < 0.5


def test_fields_of_different_walls_are_refused() -> None:
    with pytest.raises(ValueError, match="different walls"):
        plot_field_change(field_of(generate(5, 0)), field_of(generate(7, 0)))
    assert not plt.get_fignums()


def test_path_probabilities_are_the_colours_of_their_squares() -> None:
    field = certain(CORRIDOR, 1)
    field.moves[7, 4] = (0.5, 0.25, 0, 0, 0.25)
    ax = plot_path_probabilities(field)
    (tint,) = [image for image in ax.images if image.get_cmap() is HEAT]
    shown = tint.get_array()
    expected = {4: 1.0, 5: 0.25 ** (1 / 2), 6: 0.25 ** (1 / 3), 7: 0.25 ** (1 / 4)}
    assert {x: shown[7, x] for x in expected} == pytest.approx(expected)
    assert np.ma.getmaskarray(shown).sum() == 15 * 15 - len(expected)
    (hatched,) = [path.get_extents() for path in only(ax, PatchCollection).get_paths()]
    assert (hatched.x0, hatched.x1, hatched.y0, hatched.y1) == (7.5, 8.5, 6.5, 7.5)  # behind the cheese


# Charts


def test_decisions_stand_in_the_order_of_the_first_condition() -> None:
    ax = plot_decisions(decisions())
    dots = {
        dots.get_label(): dots.get_offsets()[:, 1].tolist() for dots in ax.collections if dots.get_label()[0] != "_"
    }
    assert dots == {"unedited": [0.9, 0.5, 0.2], "blind": [0.3, 0.7, 0.1]}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["101", "102", "100"]
    (lines,) = [
        lines for lines in ax.collections if isinstance(lines, LineCollection) and len(lines.get_segments()) == 3
    ]
    assert [sorted(segment[:, 1].tolist()) for segment in lines.get_segments()] == [[0.3, 0.9], [0.5, 0.7], [0.1, 0.2]]
    assert [text.get_text() for text in ax.texts] == ["0.53", "0.37"]
    assert "3 levels" in ax.get_xlabel()
    assert ax.get_title(loc="left") == "P(cheese | decision square)"


def test_decisions_need_one_row_for_each_level_and_condition() -> None:
    with pytest.raises(ValueError, match=r"several rows of one level; .* give the rows of one set"):
        plot_decisions(pd.concat([decisions(), decisions()]))
    with pytest.raises(ValueError, match="no level has p_cheese_move for every condition"):
        plot_decisions(decisions()[lambda table: table["level"] == 3])


def test_one_level_has_a_mean_without_interval() -> None:
    ax = plot_decisions(decisions()[lambda table: table["level"] == 0])
    assert [text.get_text() for text in ax.texts] == ["0.20", "0.10"]


def test_bars_are_as_long_as_the_means_and_carry_their_intervals() -> None:
    ax = plot_comparison(comparison())
    bars = [container for container in ax.containers if isinstance(container, BarContainer)]
    assert [[bar.get_width() for bar in group] for group in bars] == [[0.25, 0.75], [0.5, 0.125]]
    assert [to_rgb(group[0].get_facecolor()) for group in bars] == [to_rgb(ORANGE), to_rgb(BLUE)]
    intervals = [lines for lines in ax.collections if isinstance(lines, LineCollection)]
    ends = [[segment[:, 0].tolist() for segment in lines.get_segments()] for lines in intervals]
    assert np.ravel(ends) == pytest.approx([0.15, 0.3, 0.65, 0.8, 0.4, 0.55, 0.025, 0.175])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["near", "far"]
    assert ax.yaxis_inverted()  # the first at the top
    assert any("40 levels" in text.get_text() for text in ax.texts)


def test_a_comparison_must_have_the_measure_once_for_each_group() -> None:
    with pytest.raises(ValueError, match="no row has the measure 'p_cheese'; the measures are p_cheese_move"):
        plot_comparison(comparison(), measures=("p_cheese",))
    with pytest.raises(ValueError, match="several rows of one measure"):
        plot_comparison(pd.concat([comparison(), comparison()]))


def test_success_has_a_line_for_each_choice_over_single_sizes() -> None:
    ax = plot_success(summary(), baselines=("random",))
    lines = dict(zip(ax.get_legend_handles_labels()[1], ax.get_legend_handles_labels()[0], strict=True))
    assert set(lines) == {"net, sampled", "net, greedy", "random"}
    x, y = lines["net, sampled"].lines[0].get_data()
    assert list(x) == [3, 13, 25]
    assert y == pytest.approx([0.797, 0.787, 0.775])
    assert lines["net, greedy"].lines[0].get_xdata() == pytest.approx([3, 13, 25], abs=0.5)
    assert lines["random"].get_ydata() == pytest.approx([0.197, 0.187, 0.175])
    assert lines["random"].get_color() not in CYCLE
    assert ax.get_xticks().tolist() == [3, 13, 25]
    with pytest.raises(ValueError, match="no baseline 'shortest' in the table"):
        plot_success(summary(), baselines=("shortest",))


def curves_of(ax: Axes) -> dict[str, Any]:
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def test_dose_and_response_has_curves_bands_and_level_lines() -> None:
    table = sweep("coefficient", [-1.0, 0.0, 1.0]).sample(frac=1, random_state=0)
    ax = plot_dose_response(table)
    lines = curves_of(ax)
    assert set(lines) == {"cheese", "shuffled(cheese)", "unedited", "no cheese"}
    assert lines["cheese"].get_xdata().tolist() == [-1, 0, 1]
    assert lines["cheese"].get_ydata() == pytest.approx([0.5, 0.51, 0.52])
    assert set(lines["no cheese"].get_ydata()) == {0.1}
    bands = [band.get_paths()[0].get_extents() for band in ax.collections]
    assert sorted((band.y0, band.y1) for band in bands) == [
        pytest.approx((0.2, 0.37)),
        pytest.approx((0.4, 0.57)),
    ]
    assert ax.get_ylabel() == "P(cheese | decision square)"


def test_a_sweep_shows_another_quantity_with_its_own_interval() -> None:
    ax = plot_dose_response(sweep("coefficient", [-1.0, 0.0, 1.0]), quantity="removal")
    lines = curves_of(ax)
    assert set(lines) == {"cheese", "shuffled(cheese)", "no cheese"}  # the unedited policy has no removal here
    assert lines["cheese"].get_ydata() == pytest.approx([0.2, 0.18, 0.16])
    bands = sorted(band.get_paths()[0].get_extents().y1 for band in ax.collections)
    assert bands == pytest.approx([0.5, 0.9])
    assert ax.get_ylabel() == "removal of P(cheese | decision square)"
    with pytest.raises(ValueError, match="lacks difference, difference_low, difference_high"):
        plot_dose_response(sweep("coefficient", [0.0]), quantity="difference")


def test_layers_stand_in_forward_order_and_strangers_after_them() -> None:
    layers = ["strange.layer", "fc_policy_out", "embedder.block2.res1.resadd_out", "embedder.block1.conv_out"]
    ax = plot_layer_sweep(sweep("layer", layers))
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["block1.conv", "block2.res1.resadd", "fc_policy", "strange.layer"]
    assert curves_of(ax)["cheese"].get_xdata() == pytest.approx([0.53, 0.52, 0.51, 0.5])
    assert ax.yaxis_inverted()


def test_training_curves_are_running_medians_and_percentiles() -> None:
    axes = plot_training(log())
    assert [ax.get_title(loc="left") for ax in axes] == ["Loss", "Success"]
    (line,) = axes[1].lines
    steps, middle = line.get_data()
    assert steps[20] == 21_000
    assert middle[20] == pytest.approx(21 / 40)
    corners = axes[1].collections[0].get_paths()[0].vertices
    here = np.unique(corners[corners[:, 0] == 21_000, 1].round(6))
    assert here == pytest.approx(np.quantile(np.arange(14, 29) / 40, [0.1, 0.9]))


def test_a_share_has_no_room_above_one() -> None:
    (ax,) = plot_training(log().assign(success=1.0), columns=["success"])
    bottom, top = ax.get_ylim()
    assert bottom < 1 < top < 1.01


def test_runs_are_told_apart_and_chosen_curves_alone_are_drawn() -> None:
    runs = pd.concat([log().assign(run="one"), log(20).assign(run="two")])
    (ax,) = plot_training(runs, columns=["loss"], unit="steps")
    assert [len(line.get_xdata()) for line in ax.lines] == [40, 20]
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    assert ax.get_xlabel() == "steps"
    with pytest.raises(ValueError, match="lacks reward"):
        plot_training(runs, columns=["reward"])
    with pytest.raises(ValueError, match="no curve"):
        plot_training(log()[["step", "seconds"]])


# Colours


def linear(colour: Any) -> NDArray[np.float64]:
    """Linear light of an sRGB colour (IEC 61966-2-1)."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of linear light, white D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    t = to_xyz @ light / to_xyz.sum(axis=1)
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Machado, Oliveira and Fernandes 2009, full severity.
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["usual", "deuteranopia", "protanopia"])
def test_colours_are_told_apart_by_everybody(sight: NDArray[np.float64]) -> None:
    seen = [lab((sight @ linear(colour)).clip(0, 1)) for colour in CYCLE]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 10  # twice what is told apart at a glance


@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["usual", "deuteranopia", "protanopia"])
def test_heat_is_darker_all_the_way(sight: NDArray[np.float64]) -> None:
    lightness = np.array([lab((sight @ linear(HEAT(i)[:3])).clip(0, 1))[0] for i in range(256)])
    assert (np.diff(lightness) < 0.05).all()
    assert lightness[0] - lightness[-1] > 60
