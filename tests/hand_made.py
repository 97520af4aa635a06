"""Policies written by hand, whose every answer is known, for the tests of what reads policies."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from mazeinterp.maze import MOVE_ACTION, Level, Levels, best_moves, observe
from mazeinterp.policy import ImpalaPolicy, PolicyOutput

Rule = Callable[[Level, tuple[int, int], bool], NDArray[np.float64]]
"""`rule(level, square, reflected)` gives the five moves' probabilities."""


class Written:
    """Answers by a rule; it knows every state of its levels by its picture, so no two levels may look alike.

    Use mode "easy": in "hard", the mouse cannot be seen on two squares. Where both facings look alike, as on some
    squares in "easy", it answers as if unreflected, because that is all that a policy can do.

    Attributes:
        calls: the number of observations of each call so far.
    """

    def __init__(self, levels: Levels, rule: Rule) -> None:
        self.calls: list[int] = []
        self.answers: dict[bytes, NDArray[np.float64]] = {}
        seen: dict[bytes, tuple[int, int, int]] = {}
        for i, level in enumerate(levels):
            squares = [(x, y) for y, x in np.argwhere(level.grid != 1).tolist()]
            states = Levels.stack(level).repeat(len(squares)).with_mouse(squares)
            for reflected in (False, True):
                pictures = [picture.tobytes() for picture in observe(states.with_reflected(reflected))]
                for (x, y), picture in zip(squares, pictures, strict=True):
                    assert seen.setdefault(picture, (i, x, y)) == (i, x, y), "two states look alike"
                    self.answers.setdefault(picture, rule(level, (x, y), reflected))

    def moves(self, level: Level, square: tuple[int, int], reflected: bool) -> NDArray[np.float64]:
        """What it answers in a state: float64 [5]."""
        return self.answers[observe(level.with_mouse(square).with_reflected(reflected))[0].tobytes()]

    def __call__(
        self, obs: NDArray[np.uint8], *, levels: Levels | None = None, rows: NDArray[np.int64] | None = None
    ) -> PolicyOutput:
        self.calls.append(len(obs))
        moves = np.array([self.answers[picture.tobytes()] for picture in obs])
        logits = np.full((len(obs), 15), -np.inf)
        with np.errstate(divide="ignore"):
            logits[:, MOVE_ACTION] = np.log(moves)
        return PolicyOutput(torch.from_numpy(logits), torch.from_numpy(moves[:, 0]))


def random_rule(level: Level, square: tuple[int, int], reflected: bool) -> NDArray[np.float64]:
    """Now and then towards the cheese, else at random, in a way that differs between squares, facings and levels."""
    x, y = square
    moves = np.random.default_rng([level.seed or 0, x, y, int(reflected)]).dirichlet(np.full(5, 0.7))
    towards = _towards_cheese(level)[y, x] >> np.arange(5) & 1
    return moves if not towards.any() else 0.85 * moves + 0.15 * towards / towards.sum()


@cache
def _towards_cheese(level: Level) -> NDArray[np.uint8]:
    return best_moves(level)[0]


def always(move: int) -> Rule:
    """One move, everywhere."""
    return lambda level, square, reflected: np.eye(5)[move]


def sharp_network(width: int = 1, seed: int = 0) -> ImpalaPolicy:
    """An untrained network whose probabilities are far from uniform."""
    policy = ImpalaPolicy(width, return_scale=2.5, seed=seed)
    with torch.no_grad():
        policy.fc_policy.weight.mul_(150)
    return policy


def corridor(squares: str) -> Level:
    """A level of one corridor along the bottom of an easy world, from x = 1: `M`, `C`, `.` as in a level's text."""
    rows = ["#" * 15] * 13 + ["#" + squares + "#" * (14 - len(squares)), "#" * 15]
    return Level.from_text("\n".join(rows))
