"""What steering vectors do: the headline experiment, and the items that read it."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd

from ..analysis.comparisons import compare_conditions
from ..analysis.evaluation import HEADLINE_DIM, LARGE_DIM, held_out
from ..analysis.experiments import DECISION, NO_CHEESE, TEST, TRAINING, UNEDITED, Condition, run_experiment
from ..analysis.experiments import steering_conditions as conditions_of_paper
from ..analysis.statistics import Estimate, paired_difference, quantile, wilson
from ..edits.edits import edited
from ..edits.recipes import TopRight
from ..edits.steering import Add
from ..plots.decisions import plot_decisions
from ..plots.evaluation import plot_comparison
from ..policy.network import ImpalaPolicy
from .claims import (
    CHEESE_POST,
    NOT_TRIED,
    PAPER,
    TOP_RIGHT_POST,
    about,
    between,
    direction,
    effect,
    observation,
    read_estimate,
    within,
)
from .items import Item, Result, Settings

SUBTRACTED, ADDED = "cheese subtracted", "cheese added"
TOP_RIGHT, NOT_TOP_RIGHT, OTHER_TOP_RIGHT = "top-right added", "top-right subtracted", "another maze's top-right added"
CHEESE_CONTROLS = {
    f"shuffled {SUBTRACTED}": (None, NOT_TRIED),
    f"random {SUBTRACTED}": (CHEESE_POST, "another effect: incoherence"),
    f"another maze's {SUBTRACTED}": (CHEESE_POST, "usually none"),
}
"""Of the cheese vector, with what was published of each."""

CHEESE, CORNER = DECISION

LITTLE = 0.1
"""What "little" or "nothing" is, in probability and in removal."""

_PAPER_SEEDS = 100
"""The published numbers are of the seeds from 0 up to this."""


def headline(policy: ImpalaPolicy, settings: Settings) -> pd.DataFrame:
    """The experiment that several items read: measured once, if the settings have a cache.

    Returns:
        The rows of `run_experiment` for the conditions of `steering_conditions` and "top-right subtracted".
    """
    conditions = conditions_of_paper(policy, seed=settings.seed)
    conditions[NOT_TOP_RIGHT] = Condition(edited(policy, Add(TopRight(), -1.0)))
    region = policy.recipe.get("cheese_region")
    return run_experiment(
        conditions,
        settings.levels(),
        exact_levels=settings.sizes.exact_levels,
        training_levels=held_out(settings.sizes.training_levels, cheese_region=region),
        seed=settings.seed,
        workers=settings.workers,
        folder=settings.cache,
    )


def estimate_of(
    compared: pd.DataFrame, condition: str, measure: str, quantity: str = "difference", *, of: str = TEST
) -> Estimate:
    """A number of a `compare_conditions` table with its interval.

    Args:
        compared: the table.
        condition: whose.
        measure: of what.
        quantity: "estimate", "difference" (to the unedited policy) or "removal".
        of: the set, if the table has several.

    Raises:
        KeyError: if there is no such row.
    """
    rows = compared[(compared["condition"] == condition) & (compared["measure"] == measure) & (compared["set"] == of)]
    if rows.empty:
        raise KeyError(f"{condition}, {measure}, {of}")
    return read_estimate(rows.iloc[0], quantity)


def cheese_pull(policy: ImpalaPolicy, settings: Settings) -> Estimate:
    """How much hiding the cheese lowers P(cheese | decision square): what a removal is a share of."""
    results = run_experiment(
        {UNEDITED: Condition(policy), NO_CHEESE: Condition(policy, sees_cheese=False)},
        settings.swept_levels(),
        exact_levels=0,
        seed=settings.seed,
        workers=settings.workers,
        folder=settings.cache,
    )
    wide = _decisions(results, CHEESE)
    return _difference(wide[UNEDITED], wide[NO_CHEESE], settings.seed)


def _difference(one: pd.Series, other: pd.Series, seed: int) -> Estimate:
    """One minus the other, paired by level."""
    return Estimate(*paired_difference(one, other, seed=seed)[:3], len(one))


def without_pull(pull: Estimate) -> str:
    """Why there is no removal for a network that the cheese does not pull (a share of nothing is anything); else ""."""
    if pull.low > 0:
        return ""
    fall = f"{pull.estimate:.4f} [{pull.low:.4f}, {pull.high:.4f}], n = {pull.n}".replace("-", "−")
    return f"hiding the cheese lowers P(cheese | decision square) by {fall}, so there is no pull to remove a share of"


def _decisions(results: pd.DataFrame, measure: str) -> pd.DataFrame:
    """A measure at decision squares: a row for each level that counts, a column for each condition."""
    counted = results[(results["set"] == TEST) & (results["maze_dim"] >= HEADLINE_DIM)]
    return counted.pivot(index="level", columns="condition", values=measure).dropna()


def _shown(results: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that pictures show level by level: those of the published seeds."""
    chosen = results["condition"].isin(conditions) & (results["set"] == TEST) & (results["maze_dim"] >= HEADLINE_DIM)
    return results[chosen & (results["seed"] < _PAPER_SEEDS)]


def subtract_cheese(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The cheese vector subtracted."""
    results = headline(policy, settings)
    results = results[results["condition"].isin((UNEDITED, SUBTRACTED, NO_CHEESE, *CHEESE_CONTROLS))]
    compared = compare_conditions(results[results["set"] == TEST], seed=settings.seed)
    cheese, corner = _decisions(results, CHEESE), _decisions(results, CORNER)
    other = 1 - cheese - corner
    seed = settings.seed
    problem = without_pull(_difference(cheese[UNEDITED], cheese[NO_CHEESE], seed))
    removals = (
        []
        if problem
        else [
            within(
                "The mouse does as though there were no cheese: removal",
                estimate_of(compared, SUBTRACTED, CHEESE, "removal"),
                CHEESE_POST,
                "often, not always",
                low=0.8,
            ),
            *(
                within(
                    f"Control: {name}; removal",
                    estimate_of(compared, name, CHEESE, "removal"),
                    source,
                    wording,
                    low=-LITTLE,
                    high=LITTLE,
                )
                for name, (source, wording) in CHEESE_CONTROLS.items()
            ),
        ]
    )
    rising = int((cheese[SUBTRACTED] - cheese[UNEDITED] > 0.005).sum())
    claims = [
        about("Median P(cheese | decision square), unedited", 0.81, quantile(cheese[UNEDITED], 0.5), CHEESE_POST),
        about("The same, cheese vector subtracted", 0.03, quantile(cheese[SUBTRACTED], 0.5), CHEESE_POST),
        effect(
            "Mean P(cheese | decision square) falls",
            0.09 - 0.62,
            estimate_of(compared, SUBTRACTED, CHEESE),
            PAPER,
            "0.62 → 0.09",
        ),
        effect(
            "Mean P(corner | decision square) rises",
            0.68 - 0.23,
            estimate_of(compared, SUBTRACTED, CORNER),
            PAPER,
            "0.23 → 0.68",
        ),
        within(
            "All other moves at the decision square keep their probability",
            _difference(other[SUBTRACTED], other[UNEDITED], seed),
            CHEESE_POST,
            "mostly unaffected",
            low=-LITTLE,
            high=LITTLE,
        ),
        within(
            "Share of levels where P(cheese | decision square) rises by more than 0.005",
            wilson(rising, len(cheese)),
            CHEESE_POST,
            "1 of 100 levels, by 0.005",
            high=LITTLE,
        ),
        *removals,
        observation("Exact P(cheese) of a whole episode: change", estimate_of(compared, SUBTRACTED, "p_cheese")),
    ]
    figure, (above, below) = plt.subplots(2, 1, figsize=(8.4, 8.6), height_ratios=(1, 1.1), layout="constrained")
    plot_decisions(_shown(results, (UNEDITED, SUBTRACTED)), above, title=f"Cheese vector subtracted: {policy.name}")
    plot_comparison(compared, below, by="condition", title="Beside no cheese, and the controls")
    return Result(compared, figure, tuple(claims), (f"No removal is given: {problem}.",) if problem else ())


def add_cheese(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The cheese vector added."""
    results = headline(policy, settings)
    results = results[results["condition"].isin((UNEDITED, SUBTRACTED, ADDED, NO_CHEESE))]
    compared = compare_conditions(results[results["set"] == TEST], seed=settings.seed)
    wording = "not much happens"
    bounds = {"low": -LITTLE, "high": LITTLE}
    claims = (
        within(
            "P(cheese | decision square) changes little",
            estimate_of(compared, ADDED, CHEESE),
            CHEESE_POST,
            wording,
            **bounds,
        ),
        within(
            "P(corner | decision square) changes little",
            estimate_of(compared, ADDED, CORNER),
            CHEESE_POST,
            wording,
            **bounds,
        ),
        within(
            "Exact P(cheese) of a whole episode changes little",
            estimate_of(compared, ADDED, "p_cheese"),
            CHEESE_POST,
            wording,
            **bounds,
        ),
    )
    figure, ax = plt.subplots(figsize=(8.4, 4.2), layout="constrained")
    plot_decisions(_shown(results, (UNEDITED, ADDED)), ax, title=f"Cheese vector added: {policy.name}")
    return Result(compared, figure, claims)


def top_right(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The top-right vector, added and subtracted."""
    names = (UNEDITED, TOP_RIGHT, NOT_TOP_RIGHT, OTHER_TOP_RIGHT, "shuffled top-right added", "random top-right added")
    results = headline(policy, settings)
    results = results[results["condition"].isin(names)]
    compared = compare_conditions(results[results["set"] == TEST], seed=settings.seed)
    corner = _decisions(results, CORNER)
    change = corner[TOP_RIGHT] - corner[UNEDITED]
    sizes = results[results["set"] == TEST].drop_duplicates("level").set_index("level")["maze_dim"][corner.index]
    claims = [
        direction(
            "Added, it raises P(corner | decision square)",
            1,
            estimate_of(compared, TOP_RIGHT, CORNER),
            TOP_RIGHT_POST,
            "rises",
        ),
        direction(
            "Added, it raises the exact P(corner first) of an episode",
            1,
            estimate_of(compared, TOP_RIGHT, "p_corner_first"),
            TOP_RIGHT_POST,
            "rises",
        ),
        within(
            "Subtracted, it changes P(corner | decision square) little",
            estimate_of(compared, NOT_TOP_RIGHT, CORNER),
            TOP_RIGHT_POST,
            "little effect",
            low=-LITTLE,
            high=LITTLE,
        ),
        direction(
            "Another maze's vector raises P(corner | decision square) as well",
            1,
            estimate_of(compared, OTHER_TOP_RIGHT, CORNER),
            TOP_RIGHT_POST,
            "transfers",
        ),
        *(
            within(
                f"Control: {name}; change in P(corner | decision square)",
                estimate_of(compared, name, CORNER),
                None,
                NOT_TRIED,
                low=-LITTLE,
                high=LITTLE,
            )
            for name in ("shuffled top-right added", "random top-right added")
        ),
    ]
    small, large = change[sizes < LARGE_DIM], change[sizes >= LARGE_DIM]
    notes = []
    if min(len(small), len(large)) >= 2:
        claims.append(
            direction(
                "In mazes of side 15 and more it raises P(corner | decision square) by more than in smaller ones",
                1,
                between(large.to_numpy(), small.to_numpy(), settings.seed),
                TOP_RIGHT_POST,
                "usually",
            )
        )
    else:
        notes.append("Too few levels of side 15 and more, or of less, to compare the two.")
    figure, (above, below) = plt.subplots(2, 1, figsize=(8.4, 8.4), height_ratios=(1, 1.1), layout="constrained")
    plot_decisions(
        _shown(results, (UNEDITED, TOP_RIGHT)), above, measure=CORNER, title=f"Top-right vector added: {policy.name}"
    )
    plot_comparison(compared, below, by="condition", title="Beside subtracting it, and the controls")
    return Result(compared, figure, tuple(claims), tuple(notes))


def off_target(policy: ImpalaPolicy, settings: Settings) -> Result:
    """What the edits cost on levels of the training distribution."""
    results = headline(policy, settings)
    names = (UNEDITED, SUBTRACTED, ADDED, TOP_RIGHT, "both", NO_CHEESE, *CHEESE_CONTROLS)
    rows = results[(results["set"] == TRAINING) & results["condition"].isin(names)]
    training = compare_conditions(rows, ("p_cheese", "p_corner_first"), seed=settings.seed)
    claims = [
        observation(
            f"P(cheese) of an episode, {name}",
            estimate_of(training, name, "p_cheese", "estimate", of=TRAINING),
        )
        for name in names
    ]
    known = set(training["measure"])  # none reaches the corner first where the cheese lies in it (rand_region_1)
    figure, ax = plt.subplots(figsize=(8.0, 5.6), layout="constrained")
    plot_comparison(
        training,
        ax,
        measures=[name for name in ("p_cheese", "p_corner_first") if name in known],
        by="condition",
        title=f"Levels of its training distribution: {policy.name}",
    )
    return Result(training, figure, tuple(claims))


ITEMS = (
    Item(
        "cheese_vector",
        "The cheese vector, subtracted",
        "Subtracted from every forward pass, each maze's cheese vector makes the mouse ignore the cheese: on the seeds "
        "0–99 the median of P(cheese | decision square) falls from 0.81 to 0.03 and the corner takes over, while "
        "random numbers of that size make it incoherent.",
        (CHEESE_POST, PAPER),
        subtract_cheese,
    ),
    Item(
        "adding",
        "The cheese vector, added",
        "Added instead of subtracted, the vector changes little: the mouse does not seek the cheese more. (In the "
        "network trained on 6 × 6 cells, it did on one seed that was looked at.)",
        (CHEESE_POST, TOP_RIGHT_POST),
        add_cheese,
    ),
    Item(
        "top_right",
        "The top-right vector",
        "The activations with a path opened to the world's top-right corner minus those without, added, draw the mouse "
        "to the corner; subtracted they do little. The vector transfers between mazes, and small mazes are usually "
        "less affected.",
        (TOP_RIGHT_POST, PAPER),
        top_right,
    ),
    Item(
        "off_target",
        "What the edits cost",
        "Nothing was published on what the edits do to levels of the training distribution. Here are held-out ones, "
        "their outcomes exact.",
        (),
        off_target,
    ),
)
