"""`mazeinterp sweep`: what a steering vector does as its coefficient, its layer, its place or its origin changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import UseAppendAction, arg

from .options import (
    Coefficient,
    EditTexts,
    Format,
    Layer,
    LevelSet,
    Out,
    PolicyName,
    VectorText,
    Workers,
    edit_policy,
    layer_for,
    read_levels,
    read_vector,
)
from .report import Report

if TYPE_CHECKING:
    import pandas as pd

    from ..policy.network import ImpalaPolicy

Measure = Annotated[
    Literal["p_cheese_move", "p_corner_move"],
    arg(
        help="what to draw: the probability, at the decision square, of the move to the cheese or of that to the corner"
    ),
]
Seed = Annotated[int, arg(metavar="N", help="of the resampling, and of controls")]


def coefficients(
    policy: PolicyName = "rand_region_5",
    vector: VectorText = "cheese",
    coefficient: Annotated[
        tuple[float, ...], UseAppendAction, arg(metavar="NUMBER", help="a coefficient; by default 13 from -3 to 3")
    ] = (),
    layer: Layer = None,
    levels: LevelSet = "100",
    measure: Measure = "p_cheese_move",
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Dose and response: a vector and its controls, added with one coefficient after another.

    For example:

        mazeinterp sweep coefficients --vector top_right --measure p_corner_move --levels 200
    """
    arguments = {"policy": policy, "vector": vector, "layer": layer, "levels": levels, "seed": seed}
    with Report("sweep coefficients", format, out, **arguments) as report:
        from ..analysis.sweeps import COEFFICIENTS, coefficient_sweep
        from ..edits.recipes import controls_of
        from ..plots.curves import plot_dose_response
        from ..policy.checkpoints import load_policy

        network, added = load_policy(policy), read_vector(vector)
        sweep = coefficient_sweep(
            network,
            read_levels(levels),
            (added, *controls_of(added, seed).values()),
            coefficient or COEFFICIENTS,
            layer=layer_for(layer, added),
            seed=seed,
            workers=workers,
        )
        plot_dose_response(sweep, measure=measure, title=f"Dose of {vector}: {network.name}")
        _finish(report, network, sweep, vector, levels)


def layers(
    policy: PolicyName = "rand_region_5",
    vector: VectorText = "cheese",
    coefficient: Coefficient = -1.0,
    layer: Annotated[
        tuple[str, ...], UseAppendAction, arg(metavar="LAYER", help="a layer; by default all of the network's")
    ] = (),
    levels: LevelSet = "100",
    measure: Measure = "p_cheese_move",
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Where a vector acts: computed and added at one layer after another, beside itself shuffled.

    For example:

        mazeinterp sweep layers --levels 200 --workers 2
    """
    arguments = {"policy": policy, "vector": vector, "coefficient": coefficient, "levels": levels, "seed": seed}
    with Report("sweep layers", format, out, **arguments, layer=layer) as report:
        from ..analysis.sweeps import layer_sweep
        from ..edits.recipes import Shuffled
        from ..edits.vectors import SteeringVector
        from ..plots.curves import plot_layer_sweep
        from ..policy.checkpoints import load_policy

        network, added = load_policy(policy), read_vector(vector)
        if isinstance(added, SteeringVector):
            raise ValueError(
                f"{vector!r} is of one layer, {added.layer}; name a vector that can be computed at each: cheese"
            )
        sweep = layer_sweep(
            network,
            read_levels(levels),
            (added, Shuffled(added, seed)),
            coefficient,
            layers=layer or None,
            seed=seed,
            workers=workers,
        )
        plot_layer_sweep(sweep, measure=measure, title=f"{vector} times {coefficient:g}, by layer: {network.name}")
        _finish(report, network, sweep, vector, levels)


def translation(
    policy: PolicyName = "rand_region_5",
    vector: VectorText = "cheese",
    coefficient: Coefficient = -1.0,
    reach: Annotated[int, arg(metavar="CELLS", help="how far to move it each way; a cell is 1.6 squares")] = 3,
    layer: Layer = None,
    levels: LevelSet = "100",
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Whether a vector's place matters: moved by whole cells of its layer, and then added.

    For example:

        mazeinterp sweep translation --reach 2
    """
    arguments = {"policy": policy, "vector": vector, "coefficient": coefficient, "reach": reach, "layer": layer}
    with Report("sweep translation", format, out, **arguments, levels=levels, seed=seed) as report:
        from ..analysis.sweeps import translation_sweep
        from ..plots.steering import plot_translation
        from ..policy.checkpoints import load_policy

        if reach < 0:
            raise ValueError(f"--reach is {reach}; it is a number of cells, from 0")
        network, added = load_policy(policy), read_vector(vector)
        sweep = translation_sweep(
            network,
            read_levels(levels),
            added,
            coefficient,
            reach=reach,
            layer=layer_for(layer, added),
            seed=seed,
            workers=workers,
        )
        plot_translation(sweep, title=f"{vector} times {coefficient:g}, moved: {network.name}")
        _finish(report, network, sweep, vector, levels)


def average(
    policy: PolicyName = "rand_region_5",
    vector: Annotated[Literal["cheese", "top-right"], arg(help="which vector to take means of")] = "cheese",
    coefficient: Coefficient = -1.0,
    mazes: Annotated[
        tuple[int, ...], UseAppendAction, arg(metavar="N", help="how many mazes; by default 1, 2, 4, … 256")
    ] = (),
    cheese_region: Annotated[
        tuple[int, ...],
        UseAppendAction,
        arg(metavar="N", help="also of mazes with the cheese in the top-right N × N cells (the n × n family)"),
    ] = (),
    layer: Layer = None,
    levels: LevelSet = "100",
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Whether one vector serves all mazes: the mean vector of more and more other mazes (of the seeds from 500000).

    For example:

        mazeinterp sweep average --mazes 1 --mazes 32 --mazes 128 --cheese-region 5
    """
    arguments = {"policy": policy, "vector": vector, "coefficient": coefficient, "mazes": mazes, "layer": layer}
    with Report(
        "sweep average", format, out, **arguments, cheese_region=cheese_region, levels=levels, seed=seed
    ) as report:
        from ..analysis.sweeps import AVERAGED, average_sweep
        from ..edits.recording import DEFAULT_LAYER
        from ..edits.vectors import cheese_vector, top_right_vector
        from ..plots.steering import plot_averages
        from ..policy.checkpoints import load_policy

        network = load_policy(policy)
        sweep = average_sweep(
            network,
            read_levels(levels),
            coefficient,
            make=cheese_vector if vector == "cheese" else top_right_vector,
            sizes=mazes or AVERAGED,
            cheese_regions=(None, *cheese_region),
            layer=layer or DEFAULT_LAYER,
            seed=seed,
            workers=workers,
        )
        plot_averages(sweep, title=f"Mean {vector} vector times {coefficient:g}: {network.name}")
        _finish(report, network, sweep, vector, levels)


def transfer(
    policy: PolicyName = "rand_region_5",
    coefficient: Coefficient = -1.0,
    sources: LevelSet = "500000:500030",
    layer: Layer = None,
    levels: LevelSet = "100",
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Whether one maze's cheese vector works in another, by how far apart their cheeses are.

    Each is added as it is, and moved so that it lands on the cheese of the maze at hand. `--sources` are the mazes that
    the vectors come from.

    For example:

        mazeinterp sweep transfer --sources 500000:500100 --levels 200 --workers 2
    """
    arguments = {"policy": policy, "coefficient": coefficient, "sources": sources, "layer": layer, "levels": levels}
    with Report("sweep transfer", format, out, **arguments, seed=seed) as report:
        from ..analysis.transfer import transfer as transfer_bands
        from ..edits.recording import DEFAULT_LAYER
        from ..plots.steering import plot_transfer
        from ..policy.checkpoints import load_policy

        network = load_policy(policy)
        bands = transfer_bands(
            network,
            read_levels(levels),
            read_levels(sources),
            coefficient,
            layer=layer or DEFAULT_LAYER,
            seed=seed,
            workers=workers,
        )
        plot_transfer(bands, title=f"Other mazes' cheese vectors times {coefficient:g}: {network.name}")
        _finish(report, network, bands, levels)


def composition(
    policy: PolicyName = "rand_region_5",
    edit: EditTexts = (),
    levels: LevelSet = "100",
    seed: Seed = 0,
    workers: Workers = 1,
    out: Out = Path("out"),
    format: Format = "table",
) -> None:
    """Whether the effects of two edits add up: of each, of both together, and the interaction.

    Without `--edit` these are "add(cheese, -1.0)" and "add(top_right, 1.0)".

    For example:

        mazeinterp sweep composition --edit "add(cheese, -1.0)" --edit "zero(channel=5)"
    """
    with Report("sweep composition", format, out, policy=policy, edit=edit, levels=levels, seed=seed) as report:
        from ..analysis.sweeps import composition as compose
        from ..plots.steering import plot_composition
        from ..policy.checkpoints import load_policy

        texts = edit or ("add(cheese, -1.0)", "add(top_right, 1.0)")
        if len(texts) != 2:
            raise ValueError(f"a composition is of two edits; {len(texts)} given: {' and '.join(texts)}")
        network, mazes = load_policy(policy), read_levels(levels)
        first, second = edit_policy(network, texts, mazes[0]).edits
        terms = compose(network, mazes, first, second, seed=seed, workers=workers)
        plot_composition(terms, title=f"Do the effects add up? {network.name}")
        _finish(report, network, terms, levels)


SWEEPS: dict[str, Callable[..., None]] = {
    sweep.__name__: sweep for sweep in (coefficients, layers, translation, average, transfer, composition)
}


def _finish(report: Report, network: ImpalaPolicy, rows: pd.DataFrame, *names: str) -> None:
    """Reports a sweep's rows and the picture that pyplot holds of them."""
    import matplotlib.pyplot as plt

    report.table("sweep", rows, _for_people(rows))
    provenance = rows.attrs["provenance"]
    report.figure(plt.gcf(), rows, *report.command.split(), network.name, *names, hash=network.hash, **provenance)


def _for_people(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as people read them: of a sweep over points, one for each, the measures as columns."""
    import pandas as pd

    from ..analysis.comparisons import readable

    if "removal" not in rows or "measure" not in rows:
        numbers = rows.select_dtypes("float").columns
        return rows.assign(**(rows[numbers].round(3) + 0.0))  # no −0
    columns = list(rows.columns[: rows.columns.get_loc("measure")])
    points = rows[columns].astype(object).where(rows[columns].notna(), "")
    keys = pd.Series(list(points.itertuples(index=False, name=None)), index=rows.index)
    places = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    shown = readable(rows.assign(set="", condition=keys.map(places))).sort_values("condition")
    names = pd.DataFrame(list(places), columns=columns)
    return pd.concat([names, shown.drop(columns=["set", "condition"]).reset_index(drop=True)], axis=1)
