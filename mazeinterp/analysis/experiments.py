"""Experiments: what becomes of a mouse under several conditions, measured on the same levels and compared.

A condition is a policy, edited or not, and whether it is shown the cheese. `run_experiment` measures every condition
on every level; `mazeinterp.analysis.comparisons` makes the table of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..edits.edits import Edit, EditedPolicy, Network, edited
from ..edits.recipes import Cheese, TopRight, controls_of
from ..edits.recording import DEFAULT_LAYER
from ..edits.registry import format_edit
from ..edits.sharing import shared_passes
from ..edits.steering import Add, Project
from ..edits.vectors import Recipe
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import decision_squares
from ..maze.worlds import SEEDS
from ..policy.checkpoints import write_together
from ..policy.network import Policy
from .decisions import decide
from .evaluation import REPORTING_SEEDS
from .outcomes import exact_outcomes, sample_episodes
from .resumable import fingerprint, run_chunks, versions
from .table import PolicyTable, level_columns, tabulate

UNEDITED, EDITED, NO_CHEESE = "unedited", "edited", "no cheese"
"""Names of conditions; the first and the last are what others are compared with."""

DECISION = ("p_cheese_move", "p_corner_move")
EXACT = ("p_cheese", "p_corner_first", "expected_steps")
SAMPLED = ("success", "corner_first", "steps")
MEASURES = (*DECISION, *EXACT, *SAMPLED)
"""What is measured: at the decision square, exactly over an episode, and in sampled episodes."""

TEST, TRAINING = "test", "training"
"""The two sets of levels: those that the question is about, and those of the training distribution."""

_SPLITS = (
    (0, REPORTING_SEEDS, "held out, for reporting"),
    (REPORTING_SEEDS, 1_000_000, "held out, for choosing"),
    (1_000_000, SEEDS, "training"),
)
_LEVELS_IN_CHUNK = 16


@dataclass(frozen=True)
class Condition:
    """What a mouse is put through.

    Attributes:
        policy: the policy, edited or not.
        sees_cheese: whether it is shown the cheese. If not, it is shown the level without; the cheese is there all the
            same, and the episode ends on its square: P(cheese) is then the chance of coming across it.
    """

    policy: Policy
    sees_cheese: bool = True


def steering_conditions(
    policy: Network | EditedPolicy, *, layer: str = DEFAULT_LAYER, seed: int = 0
) -> dict[str, Condition]:
    """The headline conditions: each level's own steering vectors, and the controls of each.

    They are: unedited; the cheese vector subtracted, and added; the top-right vector added; both, the one subtracted
    and the other added; no cheese at all; and for the controls, in the vector's place, the vector shuffled, a random
    one of its norm, and another maze's (arXiv 2310.08043).

    Args:
        policy: the network, or an edited policy to add to.
        layer: where the vectors are computed and added.
        seed: of the controls.

    Raises:
        ValueError: if the policy has no such layer.
    """
    cheese, top_right = Cheese(), TopRight()

    def adding(*terms: tuple[Any, float]) -> Condition:
        return Condition(edited(policy, *(Add(vector, coefficient, layer) for vector, coefficient in terms)))

    conditions = {
        UNEDITED: Condition(policy),
        "cheese subtracted": adding((cheese, -1.0)),
        "cheese added": adding((cheese, 1.0)),
        "top-right added": adding((top_right, 1.0)),
        "both": adding((cheese, -1.0), (top_right, 1.0)),
        NO_CHEESE: Condition(policy, sees_cheese=False),
    }
    steering: dict[str, tuple[Recipe, float]] = {
        "cheese subtracted": (cheese, -1.0),
        "top-right added": (top_right, 1.0),
    }
    for name, (vector, coefficient) in steering.items():
        for kind, control in controls_of(vector, seed).items():
            conditions[f"{kind} {name}"] = adding((control, coefficient))
    return conditions


def edit_conditions(
    policy: Network | EditedPolicy, edits: Sequence[Edit], *, controls: bool = True, seed: int = 0
) -> dict[str, Condition]:
    """A policy without and with edits, and what to judge the difference by.

    They are: unedited; edited, if there are edits; no cheese at all; and, where an edit adds a vector or projects one
    out, the same edits with its controls (`controls_of`) in every vector's place.

    Args:
        policy: the network, or an edited policy to add to.
        edits: the edits, in the order in which they apply.
        controls: whether to have the last kind.
        seed: of the controls.

    Raises:
        ValueError: if the policy has no layer of an edit's.
    """
    conditions = {UNEDITED: Condition(policy), NO_CHEESE: Condition(policy, sees_cheese=False)}
    if edits:
        conditions[EDITED] = Condition(edited(policy, *edits))
    steering = [edit for edit in edits if isinstance(edit, Add | Project)]
    if not steering or not controls:
        return conditions
    known = {edit: controls_of(edit.vector, seed) for edit in steering if not isinstance(edit.vector, str)}
    for kind in next(iter(known.values())):
        if all(kind in mine for mine in known.values()):
            changed = (replace(edit, vector=known[edit][kind]) if edit in known else edit for edit in edits)
            conditions[f"{EDITED}, {kind} vector"] = Condition(edited(policy, *changed))
    return conditions


def run_experiment(
    conditions: Mapping[str, Condition],
    levels: LevelsLike,
    *,
    exact_levels: int = 100,
    training_levels: LevelsLike | None = None,
    episodes: int = 10,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Measures every condition on every level.

    At decision squares that takes a forward pass a level, and one or a few more for a vector of its own; exact
    outcomes take one for each free square and facing, 270 in the mean level. All random numbers are those of the
    sampled episodes, keyed by seed, level and episode, so conditions meet the same luck.

    Args:
        conditions: by name; a stochastic policy has no table and can be in none.
        levels: Levels, a Level or a sequence of Level, with one cheese each, the mouse at its start.
        exact_levels: how many of them, from the first, have exact outcomes and sampled episodes.
        training_levels: levels of the training distribution, held out, to see what an edit costs there: exact
            outcomes and sampled episodes of all. `held_out(100, cheese_region=5)` gives such levels.
        episodes: sampled episodes a level, at least 1.
        seed: of the sampled episodes.
        workers: processes; the result does not depend on their number (see `run_chunks`).
        folder: where to keep what is done: it is measured once, by whatever call asks for it, even if that is killed
            halfway. The results come to lie there as `experiment-<hash of all arguments and of this code>.parquet`.
            None keeps nothing.

    Returns:
        One row for each condition, set and level: condition, set ("test" or "training"), level (its position in its
        set), seed (−1: none), maze_dim (0: none), and in float64, NaN where it is not measured or not defined,

        - p_cheese_move, p_corner_move: as `decide` gives them; test levels with a decision square.
        - p_cheese, p_corner_first, expected_steps: as `exact_outcomes` gives them; the exact ones.
        - success, corner_first, steps: means over the sampled episodes of the same levels.

        `attrs["provenance"]`, which Parquet files keep, says what was measured with what: for each condition the
        policy, its checkpoint's hash, its edits' text forms; for each set its seeds and split; arguments; versions.

    Raises:
        ValueError: if there is nothing to measure, a level has not exactly one cheese, a policy is stochastic, or a
            number is out of its range; from edits that do not fit.
        TypeError: as `run_chunks`; as `fingerprint`, if a folder is given.
        OSError: if the folder cannot be written.
    """
    sets = {TEST: Levels.stack(levels)}
    if training_levels is not None:
        sets[TRAINING] = Levels.stack(training_levels)
    exact = {name: len(batch) if name == TRAINING else min(exact_levels, len(batch)) for name, batch in sets.items()}
    experiment = _Experiment(dict(conditions), sets, exact, episodes, seed)
    experiment.check()
    provenance = experiment.provenance()
    if folder is None:
        results = run_chunks(experiment.measure, experiment.chunks(), workers=workers, desc="experiment")
        return _in_order(results, conditions, provenance)
    key = fingerprint(experiment, provenance)[:16]
    finished, parts = Path(folder) / f"experiment-{key}.parquet", Path(folder) / f"experiment-{key}"
    if not finished.exists():
        results = run_chunks(experiment.measure, experiment.chunks(), workers=workers, folder=parts, desc="experiment")
        results = _in_order(results, conditions, provenance | {"key": key})
        write_together(finished.parent, {finished.name: results.to_parquet(index=False)})
        shutil.rmtree(parts)
    return pd.read_parquet(finished)


@dataclass(frozen=True)
class _Experiment:
    """All that the numbers of an experiment depend on; it goes to the worker processes.

    Attributes:
        conditions: by name.
        sets: the levels of each set.
        exact: how many levels of each set, from the first, have exact outcomes.
        episodes: sampled episodes a level.
        seed: of the sampled episodes.
    """

    conditions: dict[str, Condition]
    sets: dict[str, Levels]
    exact: dict[str, int]
    episodes: int
    seed: int

    def check(self) -> None:
        """Finds out what is wrong before it costs an hour."""
        if not self.conditions or not sum(map(len, self.sets.values())):
            raise ValueError("there is nothing to measure: give at least one condition and one level")
        if min(self.exact.values()) < 0 or self.episodes < 1:
            raise ValueError(
                f"exact_levels is {min(self.exact.values())} and episodes {self.episodes}; they are ≥ 0 and ≥ 1"
            )
        for name, batch in self.sets.items():
            lacking = batch.cheese[:, 0] < 0  # raises where a level has several
            if lacking.any():
                raise ValueError(f"level {lacking.argmax()} of the {name} levels has no cheese, and one is needed")
        if not sum(self.exact.values()) and not decision_squares(self.sets[TEST]).found.any():
            raise ValueError("no level has a decision square and none is to be exact, so there is nothing to measure")
        for name, condition in self.conditions.items():
            if getattr(condition.policy, "stochastic", False):
                raise ValueError(
                    f"{name!r} is stochastic, so no table describes it; play it (mazeinterp.analysis.play)"
                )

    def chunks(self) -> list[tuple[str, int]]:
        """The set and the first level of each chunk."""
        return [(name, first) for name, batch in self.sets.items() for first in range(0, len(batch), _LEVELS_IN_CHUNK)]

    def measure(self, chunk: tuple[str, int]) -> pd.DataFrame:
        """A chunk's rows, condition by condition."""
        name, first = chunk
        part = self.sets[name][first : first + _LEVELS_IN_CHUNK]
        blank = part.without_cheese()
        shown = {key: part if condition.sees_cheese else blank for key, condition in self.conditions.items()}
        outcomes: dict[str, list[pd.DataFrame]] = {key: [] for key in self.conditions}
        for i in range(max(0, min(len(part), self.exact[name] - first))):
            with shared_passes():
                for key, condition in self.conditions.items():
                    of_level = self._outcomes(condition.policy, part[i : i + 1], shown[key][i : i + 1])
                    outcomes[key].append(of_level.assign(level=i))
        decides = name == TEST and decision_squares(part).found.any()
        frames = []
        with shared_passes():
            for key, condition in self.conditions.items():
                rows = pd.DataFrame(level_columns(part, np.arange(len(part))))
                if decides:
                    rows = rows.merge(decide(condition.policy, part, shown[key])[["level", *DECISION]], how="left")
                if outcomes[key]:
                    rows = rows.merge(pd.concat(outcomes[key]), how="left")
                rows = rows.reindex(columns=["level", "seed", "maze_dim", *MEASURES])
                rows = rows.astype(dict.fromkeys(MEASURES, float))
                rows["level"] += first
                rows.insert(0, "condition", key)
                rows.insert(1, "set", name)
                frames.append(rows)
        return pd.concat(frames, ignore_index=True)

    def _outcomes(self, policy: Policy, levels: Levels, shown: Levels) -> pd.DataFrame:
        table = _with_cheese(tabulate(policy, shown), levels)
        sampled = sample_episodes(table, self.episodes, seed=self.seed).astype({"found": float, "corner_first": float})
        means = sampled.rename(columns={"found": "success"}).groupby("level")[list(SAMPLED)].mean().reset_index()
        return exact_outcomes(table)[["level", *EXACT]].merge(means)

    def provenance(self) -> dict[str, Any]:
        """What is measured with what, in a form that JSON can hold."""
        conditions = {
            name: {
                "policy": getattr(condition.policy, "name", None) or type(condition.policy).__name__,
                "checkpoint": getattr(condition.policy, "hash", None),
                "edits": [format_edit(edit) for edit in getattr(condition.policy, "edits", ())],
                "sees_cheese": condition.sees_cheese,
            }
            for name, condition in self.conditions.items()
        }
        sets = {
            name: {"levels": len(batch), "exact": self.exact[name], "mode": batch.mode} | _split(batch)
            for name, batch in self.sets.items()
        }
        arguments = {"episodes": self.episodes, "seed": self.seed}
        return {"conditions": conditions, "sets": sets, "arguments": arguments, "versions": versions()}


def _split(levels: Levels) -> dict[str, Any]:
    """Which seeds some levels are from, and what those are for."""
    low, high = int(levels.seed.min()), int(levels.seed.max())
    if low < 0:
        return {"seeds": None, "split": "levels of one's own"}
    split = next((use for start, end, use in _SPLITS if start <= low and high < end), "mixed")
    return {"seeds": [low, high], "split": split, "edited": int(levels.edited.sum())}


def _with_cheese(table: PolicyTable, levels: Levels) -> PolicyTable:
    """A table of the same levels without their cheese, for levels that have it: no mouse stands on its square."""
    counts = np.diff(table.start)
    level = np.repeat(np.arange(len(levels)), counts)
    kept = (table.square != levels.cheese[level]).any(axis=1)
    start = np.concatenate([[0], np.cumsum(np.bincount(level[kept], minlength=len(levels)))])
    rows = {"square": table.square[kept], "moves": table.moves[kept], "value": table.value[kept]}
    return replace(table, levels=levels, start=start, **rows)


def _in_order(results: pd.DataFrame, conditions: Mapping[str, Condition], provenance: dict[str, Any]) -> pd.DataFrame:
    """The rows by condition, in the order in which these were given."""
    order = {name: i for i, name in enumerate(conditions)}
    ordered = results.sort_values("condition", key=lambda names: names.map(order), kind="stable", ignore_index=True)
    ordered.attrs["provenance"] = provenance
    return ordered
