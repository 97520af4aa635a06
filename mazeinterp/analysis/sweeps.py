"""Sweeps of a steering vector: over its coefficient, its layer, its place, and the mazes that it is the mean of.

Everything is measured at decision squares, a few forward passes a level and point, by `run_experiment`; so a sweep
splits over processes, and its numbers are those of the headline table. Of the given levels, those with a decision
square count, and of those the mazes of side 7 or more.

A sweep gives one row for each of its points and measure: what names the point, and then measure, estimate, low, high,
n, difference (to the unedited policy), difference_low, difference_high, p_value, p_holm, removal, removal_low,
removal_high, as `compare_conditions` gives them. The two points whose `vector` is "unedited" or "no cheese" are what
to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..edits.edits import Edit, EditedPolicy, Network, edited
from ..edits.recipes import Another, Cheese, Random, Shuffled, Translated
from ..edits.recording import DEFAULT_LAYER, TappedPolicy
from ..edits.registry import format_edit
from ..edits.steering import Add
from ..edits.vectors import Recipe, SteeringVector, cheese_vector
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import decision_squares
from .comparisons import compare_conditions
from .evaluation import HEADLINE_DIM, REPORTING_SEEDS
from .experiments import DECISION, NO_CHEESE, UNEDITED, Condition, run_experiment
from .statistics import holm, paired_difference

VectorOrRecipe = SteeringVector | Recipe

CHEESE_AND_CONTROLS: tuple[Recipe, ...] = (Cheese(), Shuffled(Cheese()), Random(Cheese()), Another(Cheese()))
"""The cheese vector and, in its place, itself shuffled, a random one of its norm, and another maze's."""

COEFFICIENTS = (-3.0, -2.0, -1.5, -1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 2.0, 3.0)

AVERAGED = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def coefficient_sweep(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    vectors: Sequence[VectorOrRecipe] = CHEESE_AND_CONTROLS,
    coefficients: Sequence[float] = COEFFICIENTS,
    *,
    layer: str = DEFAULT_LAYER,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """Dose and response: vectors added with one coefficient after another.

    Args:
        policy: the network, or an edited policy to add to.
        levels: Levels, a Level or a sequence of Level, with one cheese each.
        vectors: vectors and recipes, each swept by itself.
        coefficients: what to multiply them by; −1 subtracts.
        layer: where they are added.
        seed: of the resampling.
        workers: processes.

    Returns:
        Columns vector (its text form), coefficient (NaN for "unedited" and "no cheese"), and those of every sweep.

    Raises:
        ValueError: if fewer than two levels count, or as `run_experiment`.
    """
    points = {
        (label, float(coefficient)): edited(policy, Add(vector, float(coefficient), layer))
        for label, vector in _labelled(vectors)
        for coefficient in coefficients
    }
    return _sweep(policy, levels, points, ("vector", "coefficient"), seed, workers)


def layer_sweep(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    vectors: Sequence[Recipe] = CHEESE_AND_CONTROLS[:2],
    coefficient: float = -1.0,
    *,
    layers: Sequence[str] | None = None,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """Where a vector acts: computed and added at one layer after another.

    Args:
        policy: the network, or an edited policy to add to.
        levels: Levels, a Level or a sequence of Level, with one cheese each.
        vectors: recipes, each swept by itself.
        coefficient: what to multiply them by; −1 subtracts.
        layers: names of layers; by default all of the network's.
        seed: of the resampling.
        workers: processes.

    Returns:
        Columns vector (its text form), layer (missing for "unedited" and "no cheese"), and those of every sweep.

    Raises:
        ValueError: if the policy has no such layer, fewer than two levels count, or as `run_experiment`.
    """
    points = {
        (label, layer): edited(policy, Add(vector, coefficient, layer))
        for label, vector in _labelled(vectors)
        for layer in (policy.layers if layers is None else layers)
    }
    return _sweep(policy, levels, points, ("vector", "layer"), seed, workers)


def translation_sweep(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    vector: Recipe | SteeringVector = CHEESE_AND_CONTROLS[0],
    coefficient: float = -1.0,
    *,
    reach: int = 3,
    layer: str = DEFAULT_LAYER,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """Whether a vector's place matters: moved by whole cells of its layer, in both directions, and then added.

    Args:
        policy: the network, or an edited policy to add to.
        levels: Levels, a Level or a sequence of Level, with one cheese each.
        vector: a recipe or one vector.
        coefficient: what to multiply it by; −1 subtracts.
        reach: cells to go each way: (2 · reach + 1)² places. A cell of the default layer is 1.6 squares of "hard".
        layer: where it is added; its activations must be maps of cells.
        seed: of the resampling.
        workers: processes.

    Returns:
        Columns vector (its text form), right, up (cells; missing for "unedited" and "no cheese"), and those of every
        sweep.

    Raises:
        ValueError: if the layer has no cells, fewer than two levels count, or as `run_experiment`.
    """
    ((label, _),), steps = _labelled([vector]), range(-reach, reach + 1)
    points = {}
    for right, up in ((right, up) for right in steps for up in steps):
        moved = vector.translated(right, up) if isinstance(vector, SteeringVector) else Translated(vector, right, up)
        points[label, right, up] = edited(policy, Add(moved, coefficient, layer))
    return _sweep(policy, levels, points, ("vector", "right", "up"), seed, workers)


def average_sweep(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    coefficient: float = -1.0,
    *,
    make: Callable[[TappedPolicy, LevelsLike, str], SteeringVector] = cheese_vector,
    sizes: Sequence[int] = AVERAGED,
    cheese_regions: Sequence[int | None] = (None,),
    layer: str = DEFAULT_LAYER,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """Whether one vector serves all mazes: the mean vector of 1, 2, … 256 other mazes.

    Those mazes are the first of the seeds for choosing (from 500,000), so the larger sets contain the smaller ones.

    Args:
        policy: the network, or an edited policy to add to.
        levels: Levels, a Level or a sequence of Level, with one cheese each.
        coefficient: what to multiply the vector by; −1 subtracts.
        make: makes one vector of several levels: `cheese_vector` or `top_right_vector`.
        sizes: how many mazes to take the mean of.
        cheese_regions: where those mazes have their cheese (the n × n family): None for anywhere, n for the top-right
            n × n cells, as in `Levels.from_seeds`.
        layer: where the vector is computed and added.
        seed: of the resampling.
        workers: processes.

    Returns:
        Columns vector (the function's name), cheese_region (missing for anywhere), mazes (missing for "unedited" and
        "no cheese"), and those of every sweep.

    Raises:
        ValueError: if a size is below 1, fewer than two levels count, or as `run_experiment`.
    """
    if min(sizes, default=0) < 1:
        raise ValueError(f"sizes are {tuple(sizes)}; a mean is over at least one maze")
    batch = Levels.stack(levels)
    points = {}
    for region in cheese_regions:
        surplus = max(sizes) // 10 + 10  # few regions leave mazes without a cheese, and those few
        mazes = Levels.from_seeds(range(REPORTING_SEEDS, REPORTING_SEEDS + max(sizes) + surplus), batch.mode, region)
        mazes = mazes[mazes.cheese[:, 0] >= 0]
        for size in sizes:
            vector = make(policy, mazes[:size], layer)
            points[make.__name__, region, size] = edited(policy, Add(vector, coefficient, layer))
    return _sweep(policy, batch, points, ("vector", "cheese_region", "mazes"), seed, workers)


def composition(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    first: Edit,
    second: Edit,
    *,
    seed: int = 0,
    workers: int = 1,
) -> pd.DataFrame:
    """Whether two edits add up: the effects of each, of both, and the interaction.

    An effect is the difference to the unedited policy; the interaction is the effect of both minus the sum of the
    effects of each. Probabilities end at 0 and 1, so strong effects in one direction cannot add up.

    Args:
        policy: the network, or an edited policy to add to.
        levels: Levels, a Level or a sequence of Level, with one cheese each.
        first: an edit.
        second: another; both together apply in this order.
        seed: of the resampling.
        workers: processes.

    Returns:
        One row for each measure at the decision square and term: measure, term ("first", "second", "both",
        "interaction"), edit (text forms), estimate, low, high, p_value (that it is zero), p_holm (over the frame), n.

    Raises:
        ValueError: if fewer than two levels count, or as `run_experiment`.
    """
    edits = {"first": (first,), "second": (second,), "both": (first, second)}
    conditions = baselines(policy) | {term: Condition(edited(policy, *parts)) for term, parts in edits.items()}
    results = run_experiment(conditions, counted_levels(levels), exact_levels=0, workers=workers)
    rows = []
    for measure in DECISION:
        wide = results.pivot(index="level", columns="condition", values=measure)
        sums = {term: (wide[term], wide[UNEDITED]) for term in edits}
        sums["interaction"] = (wide["both"] - wide["first"], wide["second"] - wide[UNEDITED])
        for term, (changed, base) in sums.items():
            text = " + ".join(map(format_edit, edits.get(term, (first, second))))
            estimate, low, high, p_value, n = paired_difference(changed, base, seed=seed)
            row = {"measure": measure, "term": term, "edit": text, "estimate": estimate, "low": low, "high": high}
            rows.append(row | {"p_value": p_value, "n": n})
    frame = pd.DataFrame(rows)
    frame.insert(frame.columns.get_loc("n"), "p_holm", holm(frame["p_value"]))
    frame.attrs = results.attrs
    return frame


def _labelled(vectors: Sequence[VectorOrRecipe]) -> list[tuple[str, VectorOrRecipe]]:
    """Vectors with their text forms, by which a table tells them apart."""
    labels = [vector.recipe if isinstance(vector, SteeringVector) else format_edit(vector) for vector in vectors]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"the vectors are called {labels}; give at least one, each of another name")
    return list(zip(labels, vectors, strict=True))


def baselines(policy: Network | EditedPolicy) -> dict[str, Condition]:
    """The two conditions that every sweep compares with."""
    return {UNEDITED: Condition(policy), NO_CHEESE: Condition(policy, sees_cheese=False)}


def counted_levels(levels: LevelsLike) -> Levels:
    """The levels that count: those with a decision square, in mazes of side 7 or more.

    Raises:
        ValueError: if they are fewer than two.
    """
    batch = Levels.stack(levels)
    counted = batch[decision_squares(batch).found & (batch.maze_dim >= HEADLINE_DIM)]
    if len(counted) < 2:
        raise ValueError(
            f"{len(counted)} of {len(batch)} levels have a decision square and maze_dim ≥ {HEADLINE_DIM}; at least two "
            "are needed"
        )
    return counted


def _sweep(
    policy: Network | EditedPolicy,
    levels: LevelsLike,
    points: Mapping[Any, EditedPolicy],
    columns: Sequence[str],
    seed: int,
    workers: int,
) -> pd.DataFrame:
    """The comparison of a sweep's points with the unedited policy, in their order.

    Args:
        policy: the unedited policy.
        levels: the levels.
        points: the edited policies, by tuples: the values of the columns that name a point, the vector's text first.
        columns: those columns.
        seed: of the resampling.
        workers: processes.
    """
    names = {", ".join(map(str, key)): key for key in points}
    conditions = baselines(policy) | {name: Condition(points[key]) for name, key in names.items()}
    results = run_experiment(conditions, counted_levels(levels), exact_levels=0, workers=workers)
    compared = compare_conditions(results, DECISION, seed=seed)
    empty = (None,) * (len(columns) - 1)
    keys = [names.get(condition, (condition, *empty)) for condition in compared["condition"]]
    frame = pd.concat([pd.DataFrame(keys, columns=list(columns)), compared.drop(columns=["set", "condition"])], axis=1)
    frame.attrs = results.attrs
    return frame
