"""Causal confirmation: whether the channels that a probe found are what the decision rests on.

Each channel, and the set of them, is ablated at the decision square in three ways: set to zero, to its mean, or to
what it is in another maze (`Zero`, `Mean` and `Resample` of `mazeinterp.edits`). If P(cheese | decision square) drops
by more than under nearly all random sets that move the layer as far, the set is confirmed. What the same ablation
costs where there is nothing to decide is measured beside it, on levels of the training distribution.

A thousand random sets are affordable because all that precedes the layer is computed once (`ImpalaPolicy.resume`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from ..edits.ablations import Mean, Resample, Zero
from ..edits.edits import EditContext, edited
from ..edits.recording import DEFAULT_LAYER
from ..maze.generation import FREE
from ..maze.levels import Levels, LevelsLike
from ..maze.paths import MOVES, best_moves, decision_squares
from ..policy.network import ImpalaPolicy
from .experiments import NO_CHEESE, UNEDITED, Condition
from .resumable import run_work
from .resuming import layer_activations, matched_channel_sets, resumed_moves
from .statistics import holm, paired_difference
from .sweeps import counted_levels

Ablation = Literal["zero", "mean", "resample"]
ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)

FOUND, CHANNEL, RANDOM = "found", "channel", "random"
"""What is ablated: the set that was found, one channel, or a random set."""

CONFIRMED = 0.95
"""The share of random sets that a confirmed set exceeds, at least."""

_SETS_IN_CHUNK = 50


def ablate_channels(
    policy: ImpalaPolicy,
    channels: Sequence[int],
    levels: LevelsLike,
    training_levels: LevelsLike,
    *,
    layer: str = DEFAULT_LAYER,
    ablations: Sequence[Ablation] = ABLATIONS,
    random_sets: int = 1000,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Ablates a set of channels, every channel by itself, and random sets; measures the decision and the cost.

    The random sets are as large as the found one, have no channel in common with it, and come nearest to it in how far
    their ablation moves the layer: the root mean square, over decision squares, of the norm of (ablated − unedited)
    activation. Under zero ablation that is the norm of the activation itself. `matched_channel_sets` says how they are
    drawn, `confirm` how near they came; each kind of ablation has its own.

    The cost is measured on one square of each training level, drawn uniformly from its free squares.

    It takes a forward pass from the layer on for every set, ablation and state: 600,000 with 100 states of each kind
    and 1,000 sets.

    Args:
        policy: the network, without edits.
        channels: the set that was found, at most half of the layer's channels.
        levels: levels with one cheese each; those with a decision square in mazes of side 7 or more count.
        training_levels: levels of the training distribution, held out: `held_out(100, cheese_region=5)`.
        layer: where the channels are: one that `ImpalaPolicy.resume` goes on from.
        ablations: which.
        random_sets: how many random sets.
        seed: of the random sets, of the donors of resample ablation, and of the squares of the training levels.
        workers: processes; the result does not depend on their number.
        folder: where to keep what is done, so that the same call takes up where it was killed; None keeps nothing.

    Returns:
        One row for each ablation and set: ablation, set ("found"; "channel" for each of the layer's channels alone;
        "random"), channels (their numbers as text), norm (how far the ablation moves the layer, as above), and means
        over levels of

        - p_cheese_move: P(cheese | decision square), and drop: the unedited policy's minus that.
        - log_odds_drop: the drop of log P(cheese move) − log P(corner move).
        - expert_drop: the drop of P(a move on a shortest path to the cheese) on the training levels.
        - total_variation: total variation distance of the moves from the unedited policy's, on the training levels.

        The found set and each of its channels also have drop_low, drop_high (95%), p_value (paired by level, that there
        is no drop) and p_holm (over these tests of the frame); the others NaN. `attrs["confirmation"]` says of which
        policy, layer and channels, with how many levels, and the unedited policy's p_cheese_move.

    Raises:
        TypeError: the policy is no `ImpalaPolicy`.
        ValueError: the network has no such layer or channel, more than half of them are found, an ablation is unknown,
            fewer than two levels count, or a training level has no cheese.
    """
    unknown = [name for name in ablations if name not in ABLATIONS]
    if unknown or not ablations or random_sets < 1:
        raise ValueError(
            f"ablations are {tuple(ablations)}, random_sets is {random_sets}; at least one of {', '.join(ABLATIONS)} "
            "and one random set are needed"
        )
    found = tuple(int(channel) for channel in channels)
    decision = _decision_states(policy, counted_levels(levels), layer, found)
    training = _training_states(policy, Levels.stack(training_levels), layer, seed)
    chunks = []
    replaced = {
        name: tuple(_apply(name, policy, states, seed) for states in (decision, training)) for name in ablations
    }
    for name in ablations:
        change = (replaced[name][0] - decision.activation).double().square()
        squares = change.reshape(*change.shape[:2], -1).sum(dim=2).mean(dim=0).numpy()
        matched = matched_channel_sets(squares, found, random_sets, np.random.default_rng(seed))
        sets: list[tuple[str, tuple[int, ...], float]] = []
        for which, several in (
            (FOUND, [found]),
            (CHANNEL, [(c,) for c in range(len(squares))]),
            (RANDOM, matched.tolist()),
        ):
            sets += [(which, tuple(members), float(np.sqrt(squares[list(members)].sum()))) for members in several]
        chunks += [(name, sets[first : first + _SETS_IN_CHUNK]) for first in range(0, len(sets), _SETS_IN_CHUNK)]
    work = _Work(policy, found, decision, training, replaced)
    effects = run_work(work, chunks, "ablation", workers=workers, folder=folder)
    tested = effects["p_value"].notna()
    effects.loc[tested, "p_holm"] = holm(effects.loc[tested, "p_value"])
    effects.attrs["confirmation"] = {
        "policy": policy.name,
        "layer": layer,
        "channels": list(found),
        "levels": len(decision.levels),
        "training_levels": len(training.levels),
        "p_cheese_move": float(decision.probability(decision.moves).mean()),
    }
    return effects


def confirm(effects: pd.DataFrame) -> pd.DataFrame:
    """Where the found set, and each of its channels, stands among what it is compared with.

    The set is compared with the random sets. Of single channels there are too few to match by norm: each is compared
    with every channel alone that is not in the set.

    Args:
        effects: a table of `ablate_channels`.

    Returns:
        One row for each ablation and for the set and each of its channels: ablation, set ("found" or "channel"),
        channels, p_cheese_move, drop, drop_low, drop_high, p_holm, exceeds (the share of the random sets, or channels,
        whose drop is smaller), random_sets (their number), random_drop (their median), random_drop_95 (their 95th
        percentile), norm, random_norm_low and random_norm_high (the least and the greatest of theirs), expert_drop,
        random_expert_drop, total_variation, random_total_variation (medians), and confirmed: whether it exceeds at
        least 95%.

    Raises:
        ValueError: the table is none of `ablate_channels`.
    """
    if "confirmation" not in effects.attrs:
        raise ValueError("this is no table of ablate_channels: it does not say which channels were found")
    found = {str(channel) for channel in effects.attrs["confirmation"]["channels"]}
    rows = []
    for _, part in effects.groupby("ablation", sort=False):
        alone, own = part[part["set"] == CHANNEL], part["channels"].isin(found)
        others = {FOUND: part[part["set"] == RANDOM], CHANNEL: alone[~alone["channels"].isin(found)]}
        for row in part[(part["set"] == FOUND) | ((part["set"] == CHANNEL) & own)].to_dict("records"):
            null = others[row["set"]]
            exceeds = float((null["drop"] < row["drop"]).mean())
            kept = ("ablation", "set", "channels", "p_cheese_move", "drop", "drop_low", "drop_high", "p_holm")
            rows.append(
                {name: row[name] for name in kept}
                | {"exceeds": exceeds, "random_sets": len(null)}
                | {"random_drop": null["drop"].median(), "random_drop_95": null["drop"].quantile(0.95)}
                | {"norm": row["norm"], "random_norm_low": null["norm"].min(), "random_norm_high": null["norm"].max()}
                | {"expert_drop": row["expert_drop"], "random_expert_drop": null["expert_drop"].median()}
                | {"total_variation": row["total_variation"]}
                | {"random_total_variation": null["total_variation"].median(), "confirmed": exceeds >= CONFIRMED}
            )
    frame = pd.DataFrame(rows)
    frame.attrs = effects.attrs
    return frame


def ablation_conditions(
    policy: ImpalaPolicy, channels: Sequence[int], *, layer: str = DEFAULT_LAYER, seed: int = 0
) -> dict[str, Condition]:
    """The set's ablations as conditions of `run_experiment`: what they do to whole episodes, on either distribution.

    Args:
        policy: the network, or an edited policy to add to.
        channels: the set.
        layer: where the channels are.
        seed: of the donors of resample ablation.

    Returns:
        "unedited", "no cheese", and one condition for each of `ABLATIONS`, by its name.

    Raises:
        ValueError: the network has no such layer.
    """
    members = tuple(int(channel) for channel in channels)
    conditions = {UNEDITED: Condition(policy), NO_CHEESE: Condition(policy, sees_cheese=False)}
    return conditions | {name: Condition(edited(policy, _edit(name, layer, seed, members))) for name in ABLATIONS}


@dataclass(frozen=True)
class _States:
    """States that ablations are measured on, one a level.

    Attributes:
        levels: their levels, the mice at their starts: what the edits are told.
        layer: the layer.
        activation: the unedited policy's there.
        moves: float64 [n, 5], its move probabilities.
        wanted: bool [n, 5], the moves towards the cheese.
        unwanted: bool [n, 5], the moves towards the corner; at decision squares only.
    """

    levels: Levels
    layer: str
    activation: Tensor
    moves: NDArray[np.float64]
    wanted: NDArray[np.bool_]
    unwanted: NDArray[np.bool_]

    def probability(self, moves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of a move towards the cheese: float64 [n]."""
        return np.asarray((moves * self.wanted).sum(axis=1))

    def log_odds(self, moves: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log P(cheese move) − log P(corner move): float64 [n]."""
        return np.asarray(np.log(self.probability(moves)) - np.log((moves * self.unwanted).sum(axis=1)))


def _decision_states(policy: ImpalaPolicy, levels: Levels, layer: str, channels: Sequence[int]) -> _States:
    _, square, cheese_move, corner_move = decision_squares(levels)
    states = levels.with_mouse(square).with_reflected(False)
    activation = layer_activations(policy, states, layer, channels)
    towards = [move[:, None] == np.arange(len(MOVES)) for move in (cheese_move, corner_move)]
    return _States(levels, layer, activation, resumed_moves(policy, activation, layer), *towards)


def _training_states(policy: ImpalaPolicy, levels: Levels, layer: str, seed: int) -> _States:
    towards = best_moves(levels)
    rng = np.random.default_rng(seed)
    squares = np.array([rng.choice(np.argwhere(grid == FREE))[::-1] for grid in levels.grid])
    states = levels.with_mouse(squares).with_reflected(False)
    activation = layer_activations(policy, states, layer)
    masks = towards[np.arange(len(levels)), squares[:, 1], squares[:, 0]]
    wanted = (masks[:, None] >> np.arange(len(MOVES)) & 1).astype(bool)
    return _States(levels, layer, activation, resumed_moves(policy, activation, layer), wanted, np.zeros_like(wanted))


def _edit(name: Ablation, layer: str, seed: int, channels: tuple[int, ...] | None = None) -> Zero | Mean | Resample:
    if name == "zero":
        return Zero(channel=channels, layer=layer)
    if name == "mean":
        return Mean(channel=channels, layer=layer)
    return Resample(channel=channels, layer=layer, seed=seed)


def _apply(name: Ablation, policy: ImpalaPolicy, states: _States, seed: int) -> Tensor:
    """The activation with every channel ablated: an ablation of some takes those channels of it."""
    context = EditContext(policy, states.layer, states.levels, np.arange(len(states.levels)))
    return _edit(name, states.layer, seed).apply(states.activation, context)


@dataclass(frozen=True)
class _Work:
    """Measures sets of channels.

    Attributes:
        policy: the network.
        found: the channels that were found.
        decision: decision squares.
        training: squares of training levels.
        replaced: for each ablation the activations of both with every channel ablated.
    """

    policy: ImpalaPolicy
    found: tuple[int, ...]
    decision: _States
    training: _States
    replaced: dict[Ablation, tuple[Tensor, ...]]

    def measure(self, chunk: tuple[Ablation, list[tuple[str, tuple[int, ...], float]]]) -> pd.DataFrame:
        """The rows of an ablation and some sets: what is ablated, its channels, its norm."""
        name, sets = chunk
        rows = []
        for which, members, norm in sets:
            picked, after = list(members), []
            for states, whole in zip((self.decision, self.training), self.replaced[name], strict=True):
                activation = states.activation.clone()
                activation[:, picked] = whole[:, picked]
                after.append(resumed_moves(self.policy, activation, states.layer))
            is_tested = which == FOUND or (which == CHANNEL and members[0] in self.found)
            row = {"ablation": name, "set": which, "channels": " ".join(map(str, members)), "norm": norm}
            rows.append(row | _effect(self.decision, self.training, after[0], after[1], is_tested))
        return pd.DataFrame(rows)


def _effect(
    decision: _States,
    training: _States,
    at_decision: NDArray[np.float64],
    in_training: NDArray[np.float64],
    is_tested: bool,
) -> dict[str, float]:
    before, after = decision.probability(decision.moves), decision.probability(at_decision)
    low = high = p_value = np.nan
    if is_tested:
        _, low, high, p_value, _ = paired_difference(before, after)
    return {
        "p_cheese_move": float(after.mean()),
        "drop": float((before - after).mean()),
        "log_odds_drop": float((decision.log_odds(decision.moves) - decision.log_odds(at_decision)).mean()),
        "expert_drop": float((training.probability(training.moves) - training.probability(in_training)).mean()),
        "total_variation": float(np.abs(in_training - training.moves).sum(axis=1).mean() / 2),
        "drop_low": low,
        "drop_high": high,
        "p_value": p_value,
        "p_holm": np.nan,
    }
