"""Linear probes: what can be read off a layer, by all of its units, by a few of them, or by differences of means.

Three kinds of probe, each fitted on levels for choosing and judged on others, of mazes not seen:

- *full*: logistic regression with an L2 penalty, on all channels or units.
- *sparse*: with an L1 penalty, the strongest that costs no accuracy to speak of, so that what is not needed has no
  weight. Where a layer has many units, it is fitted on the 256 that tell the classes best one by one (as in Gurnee et
  al. 2023, arXiv 2305.01610).
- *means*: the difference of the classes' means, the direction that steering vectors take; no fit.

Penalties are chosen by cross-validation over mazes. Every kind is also fitted to labels shuffled five times over, with
the penalty of the true ones, and what it reaches then, on average, is what chance and its size reach: often more than
nothing, for what stands out in a map does so in most directions. Features are in units of their standard deviation,
and so are the directions that are compared.

That something can be read off does not say that the network reads it: ablation does (`ablate_channels`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.multiclass import OneVsRestClassifier
from tqdm import tqdm

from ..edits.recording import DEFAULT_LAYER, TappedPolicy, record
from ..maze.generation import WALL
from ..maze.levels import Levels, LevelsLike
from ..maze.rendering import observe
from .channel_measures import NEAR, auc_of_cells
from .outcomes import play
from .probing import SINGLE, THINGS, Thing, cell_table, cells_at, masks_of, split_by_maze, with_one_cheese
from .readout import channel_maps
from .statistics import Estimate, bootstrap_mean, wilson
from .table import run_policy

Kind = Literal["full", "sparse", "means"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Target = Literal["move", "success"]
TARGETS: tuple[Target, ...] = get_args(Target)
"""What is asked of a whole layer: the network's own most likely move where the mouse stands, and whether the mouse
gets the cheese in an episode from there, sampled once."""

_BATCH = 32
_SAMPLED = 8  # squares of each class that a level gives to fit on
_SCREENED = 256
_FOLDS = 3
_SHUFFLES = 5
# Inverse strengths, the strongest penalty first.
_PENALTIES: dict[Kind, tuple[float, ...]] = {"full": (1e-4, 1e-2, 1.0), "sparse": (0.001, 0.003, 0.01, 0.03, 0.3)}
_ITERATIONS = 10_000


def probe_squares(
    policy: TappedPolicy,
    choosing: LevelsLike,
    reporting: LevelsLike,
    layers: str | Sequence[str] = DEFAULT_LAYER,
    things: Sequence[Thing] = ("cheese", "wall"),
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Probes for what is in a square, from the activations of its cell, the same weights for all squares.

    Args:
        policy: the policy.
        choosing: levels to fit on, with one cheese each: `probing_levels(512, "choosing")`.
        reporting: levels to judge by: `probing_levels(512, "reporting")`. Mazes of the former are left out.
        layers: names of layers with cells.
        things: what to probe for. "wall" is told from open squares ("open squares" is the same question), the others
            from the maze's other open squares. In a layer of 16 × 16 or 8 × 8 cells a wall and an open square that
            share a cell cannot be told apart.
        seed: of the squares that are sampled to fit on, 8 of each class a level at most, and of the shuffling.

    Returns:
        One row for each layer, thing, kind of probe, labels and measure: layer, target, probe ("full", "sparse",
        "means"), labels ("true" or "shuffled"), measure, estimate, low, high, n (levels), chance, nonzero (channels
        with a weight), channels, cosine (to the full probe's direction fitted to the same labels). Of shuffled labels
        all is the mean of five. Measures:

        - auc: each level's by itself, over all its squares, averaged; bootstrap interval over levels.
        - near: for the cheese, the mouse and the corner, the share of levels in which the cell with the largest number
          is one cell from it at most; Wilson's interval. Chance is what guessing a cell would reach.

    Raises:
        ValueError: if a thing is unknown, the policy has no such layer or it has no cells, or there are too few levels
            to split.
    """
    unknown = [thing for thing in things if thing not in THINGS]
    if unknown:
        raise ValueError(f"unknown thing {unknown[0]!r}; {', '.join(THINGS)} are known")
    first, second = (with_one_cheese(levels) for levels in split_by_maze(choosing, reporting))
    rows: list[dict[str, object]] = []
    names = [layers] if isinstance(layers, str) else list(layers)
    for layer, thing in tqdm([(layer, thing) for layer in names for thing in things], desc="probes", leave=False):
        rng = np.random.default_rng(seed)
        sampled = [_sample(maps, part, thing, rng) for maps, part in _streamed(policy, first, layer)]
        features = np.concatenate([part[0] for part in sampled])
        labels = np.concatenate([part[1] for part in sampled])
        mazes = np.concatenate([part[2] for part in sampled])
        if len(np.unique(labels)) < 2:
            raise ValueError(f"no level for choosing has a square with {thing} and one without")
        scores = _judge_squares(policy, second, layer, thing, _fit_all(features, labels, mazes, rng))
        rows += [{"layer": layer, "target": thing} | row for row in scores]
    return pd.DataFrame(rows)


def probe_levels(
    policy: TappedPolicy,
    choosing: LevelsLike,
    reporting: LevelsLike,
    layers: str | Sequence[str] = DEFAULT_LAYER,
    targets: Sequence[Target] = TARGETS,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Probes for what the network will do, from all units of a layer: every channel in every cell.

    Activations are held in memory, 4 bytes a level and unit: 512 levels take 17 MB at the default layer of the network
    of width 1, and four times that at width 4.

    Args:
        policy: the policy.
        choosing: levels to fit on, with one cheese each, the mouse anywhere: `probing_levels(512, "choosing")`.
        reporting: levels to judge by: `probing_levels(512, "reporting")`. Mazes of the former are left out.
        layers: names of layers, with cells or without.
        targets: "move", the network's own most likely move, and "success", whether it gets the cheese from there in
            500 steps, in one sampled episode. Chance decides of an episode, so no probe can be right in all.
        seed: of the episodes and of the shuffling.

    Returns:
        As `probe_squares`, the measure being accuracy, with Wilson's interval; chance is the share of the most frequent
        class among the reporting levels; channels and nonzero count units; cosine is NaN for "move", which has several
        directions.

    Raises:
        ValueError: if a target is unknown, the policy has no such layer, there are too few levels to split, or all
            levels for choosing have the same answer.
    """
    unknown = [target for target in targets if target not in TARGETS]
    if unknown:
        raise ValueError(f"unknown target {unknown[0]!r}; {', '.join(TARGETS)} are known")
    first, second = (with_one_cheese(levels) for levels in split_by_maze(choosing, reporting))
    answers = {target: [_answers(policy, levels, target, seed) for levels in (first, second)] for target in targets}
    rows: list[dict[str, object]] = []
    names = [layers] if isinstance(layers, str) else list(layers)
    for layer in tqdm(names, desc="probes", leave=False):
        fitted, judged = (_units(policy, levels, layer) for levels in (first, second))
        for target, (labels, truth) in answers.items():
            if len(np.unique(labels)) < 2:
                raise ValueError(f"all levels for choosing have the same {target}; give more of them")
            chance = np.unique(truth, return_counts=True)[1].max() / len(truth)
            groups = _fit_all(fitted, labels, np.arange(len(labels)), np.random.default_rng(seed))
            for group in groups:
                right = np.stack([probe.predict(judged) == truth for probe in group.probes], axis=1)
                row = {"layer": layer, "target": target} | group.named() | {"measure": "accuracy"}
                rows.append(row | _estimate(right)._asdict() | {"chance": float(chance)} | group.described())
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class _Probe:
    """A fitted probe; it predicts the class with the largest `(x − mean) / scale · weights + bias`.

    Attributes:
        weights: float64 [k, f], one row for each class but where there are two; there the row is of the second.
        bias: float64 [k].
        classes: the classes.
        mean: float64 [f], of the features.
        scale: float64 [f], their standard deviations; 1 where there is none.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    classes: NDArray[np.int64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        numbers = (features - self.mean) / self.scale @ self.weights.T + self.bias
        chosen = numbers.argmax(axis=1) if len(self.classes) > 2 else (numbers[:, 0] > 0).astype(np.int64)
        return np.asarray(self.classes[chosen])

    def cosine(self, other: _Probe) -> float:
        """Of the two directions; NaN where there are several, or one is zero."""
        norms = np.linalg.norm(self.weights) * np.linalg.norm(other.weights)
        return float(np.vdot(self.weights, other.weights) / norms) if len(self.weights) == 1 and norms > 0 else np.nan


@dataclass(frozen=True, eq=False)
class _Group:
    """The probes of one kind: the one fitted to the true labels, or those fitted to shuffled ones.

    Attributes:
        kind: the kind.
        labels: "true" or "shuffled".
        probes: the probes.
        full: the full probes fitted to the same labels.
    """

    kind: Kind
    labels: str
    probes: list[_Probe]
    full: list[_Probe]

    def named(self) -> dict[str, object]:
        return {"probe": self.kind, "labels": self.labels}

    def described(self) -> dict[str, object]:
        """Means over the probes: weights other than 0, all weights, and cosine to the full probe."""
        cosines = [probe.cosine(full) for probe, full in zip(self.probes, self.full, strict=True)]
        nonzero = np.mean([(probe.weights != 0).any(axis=0).sum() for probe in self.probes])
        return {
            "nonzero": float(nonzero),
            "channels": self.probes[0].weights.shape[1],
            "cosine": float(np.mean(cosines)),
        }


def _fit_all(
    features: NDArray[np.float32], labels: NDArray[np.int64], mazes: NDArray[np.int64], rng: np.random.Generator
) -> list[_Group]:
    """Every kind of probe, fitted to true and to shuffled labels.

    Args:
        features: float32 [r, f].
        labels: int [r].
        mazes: int [r], the maze that each row is from; folds of the cross-validation do not part them.
        rng: of the shuffling.
    """
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    scale = np.where(scale > 0, scale, 1.0)
    scaled = ((features - mean) / scale).astype(np.float32)
    penalties = {kind: _penalty(kind, scaled, labels, mazes) for kind in KINDS}
    groups = []
    for name, wanted in (("true", [labels]), ("shuffled", [rng.permutation(labels) for _ in range(_SHUFFLES)])):
        probes = {
            kind: [_Probe(*_FITS[kind](scaled, each, penalties[kind]), mean, scale) for each in wanted]
            for kind in KINDS
        }
        groups += [_Group(kind, name, probes[kind], probes["full"]) for kind in KINDS]
    return groups


_Fitted = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def _penalty(kind: Kind, features: NDArray[np.float32], labels: NDArray[np.int64], mazes: NDArray[np.int64]) -> float:
    """The inverse strength of the penalty that is right most often in mazes not fitted on; nan where there is none.

    Of a sparse probe, the strongest penalty that is within one standard error of that (Hastie et al. 2009, 7.10).
    """
    if kind not in _PENALTIES:
        return np.nan
    right = np.zeros((len(_PENALTIES[kind]), _FOLDS))
    unscaled = np.zeros(features.shape[1]), np.ones(features.shape[1])
    for fold, (fitted, judged) in enumerate(GroupKFold(_FOLDS).split(features, labels, mazes)):
        for i, strength in enumerate(_PENALTIES[kind]):
            probe = _Probe(*_FITS[kind](features[fitted], labels[fitted], strength), *unscaled)
            right[i, fold] = (probe.predict(features[judged]) == labels[judged]).mean()
    means = right.mean(axis=1)
    best = means.argmax()
    if kind == "sparse":
        best = np.argmax(means >= means[best] - right[best].std(ddof=1) / np.sqrt(_FOLDS))
    return _PENALTIES[kind][best]


def _fit_full(features: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> _Fitted:
    model = LogisticRegression(C=strength, l1_ratio=0, class_weight="balanced", max_iter=_ITERATIONS)
    model.fit(features, labels)
    return model.coef_.astype(np.float64), model.intercept_.astype(np.float64), model.classes_


def _fit_sparse(features: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> _Fitted:
    kept = np.arange(features.shape[1])
    if len(kept) > _SCREENED:
        alive = np.flatnonzero(np.ptp(features, axis=0) > 0)  # a unit that never changes tells nothing
        kept = alive[np.argsort(-f_classif(features[:, alive], labels)[0], kind="stable")[:_SCREENED]]
    model = OneVsRestClassifier(
        LogisticRegression(
            C=strength,
            l1_ratio=1,
            solver="liblinear",
            class_weight="balanced",
            max_iter=_ITERATIONS,
            random_state=0,
        )
    ).fit(features[:, kept], labels)
    weights = np.zeros((len(model.estimators_), features.shape[1]))
    weights[:, kept] = [estimator.coef_[0] for estimator in model.estimators_]
    return weights, np.array([estimator.intercept_[0] for estimator in model.estimators_]), model.classes_


def _fit_means(features: NDArray[np.float32], labels: NDArray[np.int64], strength: float) -> _Fitted:
    """The class with the nearest mean: a linear rule, its weights the means, or for two classes their difference."""
    classes = np.unique(labels)
    means = np.stack([features[labels == which].mean(axis=0, dtype=np.float64) for which in classes])
    bias = -(means**2).sum(axis=1) / 2
    if len(classes) > 2:
        return means, bias, classes
    return means[1:] - means[:1], bias[1:] - bias[:1], classes


_FITS: dict[Kind, Callable[[NDArray[np.float32], NDArray[np.int64], float], _Fitted]] = {
    "full": _fit_full,
    "sparse": _fit_sparse,
    "means": _fit_means,
}


def _sample(
    maps: NDArray[np.float32], levels: Levels, thing: Thing, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Squares to fit on: features float32 [r, channels], labels int [r], the level seed of each int [r]."""
    table = cell_table(maps.shape[2], levels.mode)
    masks = masks_of(levels)[thing]
    features, labels, mazes = [], [], []
    for i in range(len(levels)):
        for label, mask in ((1, masks[i]), (0, (levels.grid[i] != WALL) & ~masks[i])):
            cells = table[mask]
            cells = cells[rng.permutation(len(cells))[:_SAMPLED]]
            features.append(maps[i][:, cells[:, 0], cells[:, 1]].T)
            labels.append(np.full(len(cells), label))
            mazes.append(np.full(len(cells), levels.seed[i]))
    return np.concatenate(features), np.concatenate(labels), np.concatenate(mazes)


def _judge_squares(
    policy: TappedPolicy, levels: Levels, layer: str, thing: Thing, groups: Sequence[_Group]
) -> Iterator[dict[str, object]]:
    """The rows of each group of probes, their numbers read off the maps as if each were a channel."""
    weights = np.concatenate([probe.weights / probe.scale for group in groups for probe in group.probes])
    aucs, errors, chance = [], [], []
    for maps, part in _streamed(policy, levels, layer):
        read = np.einsum("ncij,pc->npij", maps, weights.astype(np.float32))
        mask = masks_of(part)[thing]
        aucs.append(auc_of_cells(read, part, thing, mask))
        if thing in SINGLE:
            there, size = mask.any(axis=(1, 2)), maps.shape[2]
            y, x = np.divmod(mask.reshape(len(part), -1).argmax(axis=1), part.world)
            cells = cells_at(np.stack([x, y], axis=1), size, part.mode)[there]
            peak = np.stack(np.divmod(read[there].reshape(len(cells), len(weights), -1).argmax(axis=2), size), axis=2)
            errors.append(np.abs(peak - cells[:, None]).max(axis=2))
            across = np.minimum(cells + NEAR, size - 1) - np.maximum(cells - NEAR, 0) + 1
            chance.append(across.prod(axis=1) / size**2)
    auc = np.concatenate(aucs)
    measured: dict[str, tuple[NDArray[Any], float]] = {"auc": (auc[~np.isnan(auc).any(axis=1)], 0.5)}
    if errors:
        measured["near"] = np.concatenate(errors) <= NEAR, float(np.concatenate(chance).mean())
    first = 0
    for group in groups:
        own = slice(first, first + len(group.probes))
        first = own.stop
        for measure, (values, by_chance) in measured.items():
            row = group.named() | {"measure": measure} | _estimate(values[:, own])._asdict()
            yield row | {"chance": by_chance} | group.described()


def _estimate(values: NDArray[np.float64] | NDArray[np.bool_]) -> Estimate:
    """The mean of [levels, probes], the latter being averaged first."""
    if values.dtype == bool and values.shape[1] == 1:
        return wilson(int(values.sum()), len(values))
    return bootstrap_mean(values.mean(axis=1))


def _streamed(policy: TappedPolicy, levels: Levels, layer: str) -> Iterator[tuple[NDArray[np.float32], Levels]]:
    for first in range(0, len(levels), _BATCH):
        part = levels[first : first + _BATCH]
        yield channel_maps(policy, part, layer), part


def _units(policy: TappedPolicy, levels: Levels, layer: str) -> NDArray[np.float32]:
    return record(policy, levels, layer)[layer].numpy().reshape(len(levels), -1)


def _answers(policy: TappedPolicy, levels: Levels, target: Target, seed: int) -> NDArray[np.int64]:
    """The label of each level: index in `MOVES`, or 1 for success."""
    if target == "success":
        return play(policy, levels, seed=seed)["found"].to_numpy().astype(np.int64)
    moves, _ = run_policy(policy, observe(levels), levels, np.arange(len(levels)))
    return moves.argmax(axis=1)
