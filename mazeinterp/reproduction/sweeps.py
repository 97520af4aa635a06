"""How far steering vectors reach: coefficients, layers, other mazes, other places, means of many, and two at once."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from ..analysis.comparisons import removal
from ..analysis.evaluation import REPORTING_SEEDS
from ..analysis.statistics import Estimate
from ..analysis.sweeps import average_sweep, coefficient_sweep, composition, layer_sweep, translation_sweep
from ..analysis.transfer import by_distance, transfer_pairs
from ..edits.recipes import Cheese, Shuffled, TopRight
from ..edits.recording import DEFAULT_LAYER
from ..edits.registry import format_edit
from ..edits.steering import Add
from ..maze.levels import Levels
from ..plots.curves import plot_dose_response, plot_layer_sweep
from ..plots.steering import plot_averages, plot_composition, plot_transfer, plot_translation
from ..policy.network import ImpalaPolicy
from .claims import CHEESE_POST, NOT_TRIED, PAPER, TOP_RIGHT_POST, direction, observation, read_estimate, within
from .items import Item, Result, Settings
from .steering import CHEESE, CORNER, LITTLE, cheese_pull, without_pull

_NEAR = 2.83
"""Squares: the published "within two cells in x and in y" reaches this far, along the diagonal."""

_BANDS = (0.0, 1.0, 2.0, _NEAR, 4.0, 6.0, 8.0, 12.0, 34.0)


def _need_pull(policy: ImpalaPolicy, settings: Settings) -> None:
    if problem := without_pull(cheese_pull(policy, settings)):
        raise ValueError(problem)


def coefficients(policy: ImpalaPolicy, settings: Settings) -> Result:
    """Dose and response of the two vectors and of a control."""
    sweep = coefficient_sweep(
        policy,
        settings.swept_levels(),
        (Cheese(), TopRight(), Shuffled(Cheese())),
        settings.sizes.coefficients,
        seed=settings.seed,
        workers=settings.workers,
    )
    text, control = format_edit(TopRight()), format_edit(Shuffled(Cheese()))
    claims = [
        direction(
            f"The top-right vector times {coefficient:g} raises P(corner | decision square)",
            1,
            _of(sweep, CORNER, "difference", vector=text, coefficient=coefficient),
            TOP_RIGHT_POST,
            "half: a little; 1 or 2: more",
            matters=0.02 if coefficient < 1 else 0.05,
        )
        for coefficient in (0.5, 1.0, 2.0)
    ]
    problem = without_pull(cheese_pull(policy, settings))
    if not problem:
        claims += [
            within(
                "Control: the shuffled cheese vector subtracted; removal",
                _of(sweep, CHEESE, "removal", vector=control, coefficient=-1.0),
                None,
                NOT_TRIED,
                low=-LITTLE,
                high=LITTLE,
            ),
            *(
                observation(
                    f"Removal, cheese vector times {coefficient:g}",
                    _of(sweep, CHEESE, "removal", vector=format_edit(Cheese()), coefficient=coefficient),
                )
                for coefficient in settings.sizes.coefficients
                if coefficient in (-0.5, -1.0, -2.0)
            ),
        ]
    largest = max(settings.sizes.coefficients)
    claims += [
        observation(
            f"Pushed as far as {largest:g} times the top-right vector: P({goal} | decision square) changes by",
            _of(sweep, measure, "difference", vector=text, coefficient=largest),
        )
        for goal, measure in (("corner", CORNER), ("cheese", CHEESE))
    ]
    figure, axes = plt.subplots(1, 2, figsize=(12.4, 4.6), layout="constrained")
    for ax, measure, title in zip(axes, (CHEESE, CORNER), (f"The cheese: {policy.name}", "The corner"), strict=True):
        plot_dose_response(sweep, ax, measure=measure, title=title)
    return Result(sweep, figure, tuple(claims), (f"No removal is given: {problem}.",) if problem else ())


def layers(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The cheese vector subtracted at one layer after another."""
    _need_pull(policy, settings)
    sweep = layer_sweep(policy, settings.swept_levels(), seed=settings.seed, workers=settings.workers)
    text = format_edit(Cheese())
    here = _of(sweep, CHEESE, "removal", vector=text, layer=DEFAULT_LAYER)
    rows = sweep[(sweep["vector"] == text) & (sweep["measure"] == CHEESE)]
    best = rows.loc[rows["removal"].idxmax()]
    claims = (
        within(
            f"It works at {DEFAULT_LAYER}: removal",
            here,
            TOP_RIGHT_POST,
            "the layer that was chosen",
            low=0.5,
        ),
        within(
            "Control: the shuffled vector, at that layer; removal",
            _of(sweep, CHEESE, "removal", vector=format_edit(Shuffled(Cheese())), layer=DEFAULT_LAYER),
            None,
            NOT_TRIED,
            low=-LITTLE,
            high=LITTLE,
        ),
        observation(
            f"The layer of the highest removal, {best['layer']}",
            read_estimate(best, "removal"),
        ),
    )
    figure, ax = plt.subplots(figsize=(7.2, 9.4), layout="constrained")
    plot_layer_sweep(sweep, ax, quantity="removal", title=f"Cheese vector subtracted, by layer: {policy.name}")
    return Result(sweep, figure, claims)


def between_mazes(policy: ImpalaPolicy, settings: Settings) -> Result:
    """One maze's cheese vector in others."""
    _need_pull(policy, settings)
    batch = settings.swept_levels()
    sources = Levels.from_seeds(range(REPORTING_SEEDS, REPORTING_SEEDS + settings.sizes.sources))
    pairs = transfer_pairs(policy, batch, sources, workers=settings.workers)
    bands = by_distance(pairs, _BANDS, seed=settings.seed)
    near, plain = pairs["distance"] <= _NEAR, ~pairs["moved"]
    claims, notes = [], []
    for chosen, text, wording, ends in (
        (plain & near, "Cheeses within 2 cells: removal", "often transfers", {"low": 0.5}),
        (plain & ~near, "Cheeses further apart: removal", "usually no effect", {"low": -LITTLE, "high": LITTLE}),
    ):
        part = pairs[chosen]
        if part["level"].nunique() < 2:
            notes.append(f"Fewer than two levels have pairs for “{text}”.")
            continue
        share = removal(part["base"], part["p_cheese_move"], part["blind"], groups=part["level"], seed=settings.seed)
        claims.append(within(text, share, CHEESE_POST, wording, **ends))
    part = pairs[~plain]
    moved = removal(part["base"], part["p_cheese_move"], part["blind"], groups=part["level"], seed=settings.seed)
    claims.append(observation("Another maze's vector, moved onto this maze's cheese: removal", moved))
    figure, ax = plt.subplots(figsize=(7.6, 4.8), layout="constrained")
    plot_transfer(bands, ax, title=f"Another maze's cheese vector, subtracted: {policy.name}")
    return Result(bands, figure, tuple(claims), tuple(notes))


def translation(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The cheese vector moved by whole cells of its layer."""
    _need_pull(policy, settings)
    sweep = translation_sweep(
        policy, settings.swept_levels(), reach=settings.sizes.reach, seed=settings.seed, workers=settings.workers
    )
    rows = sweep[(sweep["measure"] == CHEESE) & sweep["right"].notna()]
    far = rows[rows[["right", "up"]].abs().max(axis=1) == settings.sizes.reach]
    best = far.loc[far["removal"].idxmax()]
    claims = (
        within(
            "In its place: removal", _of(sweep, CHEESE, "removal", right=0, up=0), CHEESE_POST, "works there", low=0.5
        ),
        within(
            f"Moved by {settings.sizes.reach} cells, where it still removes most ({best['right']:g} right, "
            f"{best['up']:g} up): removal",
            read_estimate(best, "removal"),
            CHEESE_POST,
            "blinds to the cheese at its place",
            high=0.2,
        ),
    )
    figure, ax = plt.subplots(figsize=(6.6, 5.4), layout="constrained")
    plot_translation(sweep, ax, title=f"Cheese vector moved, then subtracted: {policy.name}")
    return Result(sweep, figure, claims)


def averages(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The mean cheese vector of many other mazes."""
    _need_pull(policy, settings)
    region = policy.recipe.get("cheese_region")
    regions = (None,) if region is None else (None, region)
    sweep = average_sweep(
        policy,
        settings.swept_levels(),
        sizes=settings.sizes.averaged,
        cheese_regions=regions,
        seed=settings.seed,
        workers=settings.workers,
    )
    rows = sweep[(sweep["measure"] == CHEESE) & sweep["mazes"].isin((32, max(settings.sizes.averaged)))]
    claims = []
    for _, row in rows.iterrows():
        where = row["cheese_region"]
        lies = "anywhere" if pd.isna(where) else f"in the top-right {where:g} × {where:g} cells"
        claims.append(
            observation(
                f"Mean vector of {row['mazes']:g} mazes, their cheese {lies}: removal", read_estimate(row, "removal")
            )
        )
    figure, ax = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    plot_averages(sweep, ax, title=f"Mean cheese vector of other mazes, subtracted: {policy.name}")
    return Result(sweep, figure, tuple(claims))


def both_at_once(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The cheese vector subtracted and the top-right vector added, together."""
    terms = composition(
        policy,
        settings.levels(),
        Add(Cheese(), -1.0),
        Add(TopRight(), 1.0),
        seed=settings.seed,
        workers=settings.workers,
    )
    names = {CHEESE: "P(cheese | decision square)", CORNER: "P(corner | decision square)"}
    claims = (
        *(
            within(
                f"The interaction in {name}: the effect of both minus the sum of the two",
                _of(terms, measure, "estimate", term="interaction"),
                TOP_RIGHT_POST,
                "roughly additive",
                low=-LITTLE,
                high=LITTLE,
            )
            for measure, name in names.items()
        ),
        direction(
            f"Both together raise {names[CORNER]}",
            1,
            _of(terms, CORNER, "estimate", term="both"),
            TOP_RIGHT_POST,
            "rises",
        ),
    )
    figure, ax = plt.subplots(figsize=(8.0, 4.2), layout="constrained")
    plot_composition(terms, ax, title=f"Do the effects add up? {policy.name}")
    return Result(terms, figure, claims)


def _of(sweep: pd.DataFrame, measure: str, quantity: str, **point: object) -> Estimate:
    """A number of a sweep's point with its interval."""
    chosen = sweep["measure"] == measure
    for name, value in point.items():
        chosen &= sweep[name] == value
    if chosen.sum() != 1:
        raise KeyError(f"{measure}, {point}: {chosen.sum()} rows")
    return read_estimate(sweep[chosen].iloc[0], quantity)


ITEMS = (
    Item(
        "coefficients",
        "Dose and response",
        "Half the top-right vector draws a little, once or twice the vector more; pushed too far, the moves become "
        "garbage.",
        (TOP_RIGHT_POST,),
        coefficients,
    ),
    Item(
        "layers",
        "Layer by layer",
        "The layer embedder.block2.res1.resadd_out was chosen by subtracting the cheese vector at all layers and "
        "looking at what happened.",
        (TOP_RIGHT_POST,),
        layers,
    ),
    Item(
        "transfer",
        "Another maze's cheese vector",
        "The cheese vector of one maze usually does nothing in another, but it often does where the two cheeses are "
        "within two cells of each other in x and in y: it seems to blind the network to cheese at a place.",
        (CHEESE_POST,),
        between_mazes,
    ),
    Item(
        "translation",
        "The cheese vector, moved",
        "If the vector blinds the network at a place, then moved elsewhere it must lose its effect.",
        (CHEESE_POST,),
        translation,
    ),
    Item(
        "averages",
        "The mean of many cheese vectors",
        "No number was published for vectors that are means over mazes. If a vector acts at a place, the mean over "
        "cheeses that lie everywhere should do little.",
        (),
        averages,
    ),
    Item(
        "composition",
        "Two vectors at once",
        "The cheese vector subtracted and the top-right vector added have roughly additive effects.",
        (TOP_RIGHT_POST, PAPER),
        both_at_once,
    ),
)
