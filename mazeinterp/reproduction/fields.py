"""Whole vector fields: with the cheese vector subtracted beside no cheese at all; and policy beside value."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ..analysis.evaluation import HEADLINE_DIM, held_out
from ..analysis.fields import arrow_change, total_variation, vector_field
from ..analysis.resumable import run_chunks
from ..analysis.statistics import Estimate, bootstrap_mean, paired_difference
from ..analysis.values import policy_and_value, summarise_agreement
from ..edits.edits import edited
from ..edits.recipes import Cheese
from ..edits.steering import Add
from ..maze.levels import Level, Levels
from ..plots.fields import plot_field_change
from ..plots.intervals import plot_intervals
from ..policy.network import ImpalaPolicy
from .claims import CHEESE_POST, direction, observation
from .items import Item, Result, Settings


def whole_fields(policy: ImpalaPolicy, settings: Settings) -> Result:
    """The field with the cheese vector subtracted, beside that without cheese."""
    batch = held_out(settings.sizes.field_levels)
    batch = batch[batch.maze_dim >= HEADLINE_DIM]
    work = _Fields(policy, batch)
    rows = run_chunks(work.measure, range(len(batch)), workers=settings.workers, desc="fields")
    change = paired_difference(rows["subtracted_to_no_cheese"], rows["unedited_to_no_cheese"], seed=settings.seed)
    claims = (
        direction(
            "Subtracting the vector brings the whole field nearer to that without cheese: change of the mean total "
            "variation distance to it",
            -1,
            Estimate(*change[:3], change.n),
            CHEESE_POST,
            "often the same, sometimes not",
            matters=0.01,
        ),
        *(
            observation(text, bootstrap_mean(rows[name], seed=settings.seed))
            for name, text in (
                ("unedited_to_no_cheese", "Mean total variation distance, unedited to no cheese"),
                ("subtracted_to_no_cheese", "Mean total variation distance, cheese vector subtracted to no cheese"),
                ("unedited_to_subtracted", "Mean total variation distance, unedited to cheese vector subtracted"),
                ("arrow_change", "The same in the published quantity"),
            )
        ),
    )
    level = batch[int(rows["unedited_to_subtracted"].idxmax())]
    blind = edited(policy, Add(Cheese(), -1.0))
    figure, axes = plt.subplots(1, 3, figsize=(12.6, 4.9), layout="constrained")
    plot_field_change(
        vector_field(policy, level), vector_field(blind, level), list(axes), policies=(str(policy.name), blind.name)
    )
    return Result(rows, figure, claims, ("The picture is of the level where the field changes most.",))


class _Fields:
    """Compares the fields of a level under three conditions."""

    def __init__(self, policy: ImpalaPolicy, levels: Levels) -> None:
        self.policy, self.levels = policy, levels

    def measure(self, i: int) -> pd.DataFrame:
        """The distances between the fields of level i, in one row."""
        level: Level = self.levels[i]
        unedited = vector_field(self.policy, level)
        subtracted = vector_field(edited(self.policy, Add(Cheese(), -1.0)), level)
        blind = vector_field(self.policy, level.without_cheese())
        pairs = {
            "unedited_to_no_cheese": (unedited, blind),
            "subtracted_to_no_cheese": (subtracted, blind),
            "unedited_to_subtracted": (unedited, subtracted),
        }
        row: dict[str, float] = {name: float(np.nanmean(total_variation(*pair))) for name, pair in pairs.items()}
        row["arrow_change"] = arrow_change(unedited, subtracted)
        return pd.DataFrame([{"level": i, "seed": level.seed, "maze_dim": level.maze_dim} | row])


def agreement(policy: ImpalaPolicy, settings: Settings) -> Result:
    """How often the most likely move leads where the value head prefers to be."""
    n, region = settings.sizes.value_levels, policy.recipe.get("cheese_region")
    sets = {"cheese anywhere": held_out(n)}
    if region is not None:
        sets["as in training"] = held_out(n, cheese_region=region)
    compared = pd.concat(
        [
            policy_and_value(policy, levels, workers=settings.workers, folder=settings.cache).assign(levels=name)
            for name, levels in sets.items()
        ],
        ignore_index=True,
    )
    table = summarise_agreement(compared, by=["levels"])
    claims = tuple(
        observation(
            f"Most likely move and value agree, {row.place}, {row.levels} (a random neighbour: {row.chance:.2f})",
            Estimate(row.estimate, row.low, row.high, int(row.n)),
        )
        for row in table.itertuples()
    )
    figure, ax = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
    shown = table.assign(label=table["place"] + ", " + table["levels"], published=np.nan)
    plot_intervals(shown, ax, x_label="agreement", title=f"Policy and value: {policy.name}")
    return Result(table, figure, claims)


ITEMS = (
    Item(
        "fields",
        "Vector fields, before and after",
        "Vector fields with the cheese vector subtracted were drawn beside those without cheese: often they are the "
        "same, sometimes they differ.",
        (CHEESE_POST,),
        whole_fields,
    ),
    Item(
        "values",
        "Policy and value",
        "How often policy and value agree was announced as measured, and no number published.",
        (CHEESE_POST,),
        agreement,
    ),
)
