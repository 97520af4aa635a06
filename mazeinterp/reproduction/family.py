"""Networks that were trained with the cheese in other regions: what they go for, and whether the vector works there."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd

from ..analysis.evaluation import goal_misgeneralisation, held_out
from ..analysis.experiments import Condition, run_experiment
from ..analysis.statistics import Estimate, paired_difference
from ..analysis.sweeps import counted_levels
from ..edits.edits import edited
from ..edits.recipes import Cheese
from ..edits.steering import Add
from ..plots.evaluation import plot_comparison
from ..policy.checkpoints import list_policies, load_policy
from ..policy.network import ImpalaPolicy
from .claims import LANGOSCO, TOP_RIGHT_POST, Claim, direction, read_estimate, within
from .items import Item, Result, Settings
from .steering import CHEESE, LITTLE

REGIONS = (1, 5, 15, None)
"""The family that is wanted: the cheese in the top-right n × n cells, or anywhere (None)."""


def relatives(policy: ImpalaPolicy) -> dict[str, ImpalaPolicy]:
    """The networks of the catalogue of a network's width whose recipe names a cheese region, and the network itself.

    Returns:
        The networks by name, from the smallest region to anywhere.
    """
    found = {str(policy.name): policy}
    for name in list_policies():
        other = load_policy(name)
        if other.width == policy.width and _knows(other) and other.hash != policy.hash:
            found[name] = other
    return dict(sorted(found.items(), key=lambda entry: _order(entry[1])))


def family(policy: ImpalaPolicy, settings: Settings) -> Result:
    """What the networks of the family go for, and what subtracting the cheese vector does to each."""
    policies = relatives(policy)
    levels = held_out(settings.sizes.family_levels)
    compared = goal_misgeneralisation(policies, levels, seed=settings.seed)
    effects = _effects(policies, settings)
    smallest, *others = policies
    claims: list[Claim] = []
    for name in others:
        row = compared[(compared["policy"] == name) & (compared["measure"] == CHEESE)].iloc[0]
        if _knows(policies[name]) and _order(policies[name]) > _order(policies[smallest]):
            claims.append(
                direction(
                    f"{name} (cheese {_region(policies[name])}) goes for the cheese more than {smallest} "
                    f"({_region(policies[smallest])}): P(cheese | decision square)",
                    1,
                    read_estimate(row, "difference"),
                    LANGOSCO,
                    "the wider the region, the more",
                )
            )
    for name, network in policies.items():
        change = effects[(effects["policy"] == name) & (effects["edit"] == "cheese subtracted")].iloc[0]
        measured = Estimate(change["difference"], change["low"], change["high"], int(change["n"]))
        if network.recipe.get("cheese_region") == 1:
            blind = effects[(effects["policy"] == name) & (effects["edit"] == "no cheese")].iloc[0]
            claims.append(
                within(
                    f"{name}: the cheese is of no matter to it; change of P(cheese | decision square) without it",
                    Estimate(blind["difference"], blind["low"], blind["high"], int(blind["n"])),
                    TOP_RIGHT_POST,
                    "never goes out of its way",
                    low=-LITTLE,
                    high=LITTLE,
                )
            )
        else:
            claims.append(
                direction(
                    f"{name} (cheese {_region(network)}): its cheese vector, subtracted, lowers "
                    "P(cheese | decision square)",
                    -1,
                    measured,
                    TOP_RIGHT_POST,
                    "works for all n × n but n = 1",
                )
            )
    present = {network.recipe["cheese_region"] for network in policies.values() if _knows(network)}
    missing = [_words(region) for region in REGIONS if region not in present]
    notes = [f"The catalogue has no network of width {policy.width} with the cheese {', '.join(missing)}."]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13.0, 1.9 + 0.46 * len(policies)), layout="constrained")
    plot_comparison(compared, left, title="At the decision square")
    plot_comparison(compared, right, measures=("p_cheese", "p_corner_first"), title="In a whole episode")
    table = pd.concat([compared.assign(edit="none"), effects.assign(measure=CHEESE)], ignore_index=True)
    return Result(table, figure, tuple(claims), tuple(notes if missing else ()))


def _effects(policies: dict[str, ImpalaPolicy], settings: Settings) -> pd.DataFrame:
    """How P(cheese | decision square) of each network changes with its cheese vector subtracted, and without cheese."""
    conditions: dict[str, Condition] = {}
    for name, network in policies.items():
        conditions[name] = Condition(network)
        conditions[f"{name}, cheese subtracted"] = Condition(edited(network, Add(Cheese(), -1.0)))
        conditions[f"{name}, no cheese"] = Condition(network, sees_cheese=False)
    levels = counted_levels(settings.swept_levels())
    results = run_experiment(conditions, levels, exact_levels=0, workers=settings.workers, folder=settings.cache)
    wide = results.pivot(index="level", columns="condition", values=CHEESE)
    rows = []
    for name in policies:
        for edit in ("cheese subtracted", "no cheese"):
            change = paired_difference(wide[f"{name}, {edit}"], wide[name], seed=settings.seed)
            rows.append({"policy": name, "edit": edit} | change._asdict())
    return pd.DataFrame(rows)


def _knows(policy: ImpalaPolicy) -> bool:
    """Whether a network's recipe tells its cheese region; published files have no recipe."""
    return "cheese_region" in policy.recipe


def _order(policy: ImpalaPolicy) -> tuple[bool, float]:
    """Sorts networks from the smallest region to anywhere, unknown ones last."""
    region = policy.recipe.get("cheese_region")
    return not _knows(policy), float("inf") if region is None else region


def _region(policy: ImpalaPolicy) -> str:
    return _words(policy.recipe["cheese_region"]) if _knows(policy) else "region unknown"


def _words(region: int | None) -> str:
    return "anywhere" if region is None else f"in {region} × {region}"


def _hashes(policy: ImpalaPolicy) -> tuple[str, ...]:
    return tuple(f"{name} {network.hash}" for name, network in relatives(policy).items())


ITEMS = (
    Item(
        "family",
        "The n × n family",
        "Networks were trained with the cheese in the top-right n × n cells. The wider the region, the more they go "
        "for the cheese wherever it lies. Subtracting the cheese vector works in all of them but n = 1, which never "
        "goes out of its way for the cheese (n = 2: ambiguous, as it rarely does).",
        (LANGOSCO, TOP_RIGHT_POST),
        family,
        _hashes,
    ),
)
