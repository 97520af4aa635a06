"""Networks, edited as a state says, and what they have answered lately."""

from __future__ import annotations

import functools
import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch

from ..edits.edits import Edit, EditedPolicy, edited
from ..edits.recording import record
from ..maze.generation import WALL
from ..maze.levels import Level
from ..maze.rendering import observe
from ..maze.worlds import Square
from ..policy.checkpoints import list_policies, load_policy
from ..policy.network import ImpalaPolicy, Policy, Precision
from .answers import Answers, nearest_first
from .controls import make_edit
from .protocol import RequestError, State

BEFORE, AFTER = "before", "after"

Message = dict[str, Any]

_ANSWERS_KEPT = 128
_STEP, _FIRST_STEP, _LEAST_STEP = 32, 4, 2
"""Observations a core between two looks at whether something newer has come, at width 1: some 20 ms; a wider network
takes proportionally fewer. Of a field's first part, which is to come soon; and never fewer than these."""

_WORTHWHILE = 1.3
"""How much faster bfloat16 must be to be worth its rounding."""


class Network(NamedTuple):
    """A network that the page can choose.

    Attributes:
        exact: in float32.
        looking: what fields and outcomes are computed with: the same, or a copy in bfloat16.
    """

    exact: ImpalaPolicy
    looking: ImpalaPolicy


@dataclass(frozen=True)
class View:
    """A state with its policies.

    Attributes:
        level: the level.
        answers: what the policies say, by `BEFORE` and `AFTER`; the latter only with an edit on.
        precision: what they are computed in.
        width: the network's.
        notes: what is missing, in sentences.
        trouble: what keeps the edited policy from answering, None if nothing does.
    """

    level: Level
    answers: dict[str, Answers]
    precision: str
    width: int
    notes: list[str]
    trouble: RequestError | None = None

    @property
    def step(self) -> int:
        """Observations between two looks at whether something newer has come."""
        return torch.get_num_threads() * self.batch_size

    @property
    def first_step(self) -> int:
        """Observations of a field's first part."""
        return torch.get_num_threads() * max(_LEAST_STEP, _FIRST_STEP // self.width)

    @property
    def batch_size(self) -> int:
        """Observations in a forward pass, on one core."""
        return max(_LEAST_STEP, _STEP // self.width)

    def fill(self, facings: Sequence[bool]) -> Iterator[None]:
        """Asks for all that is not known yet in some facings, step by step."""
        order = nearest_first(self.level, self.level.mouse)
        for answers in self.answers.values():
            for facing in facings:
                for start in range(0, 0 if answers.knows(facing) else len(order), self.step):
                    answers.ask(order[start : start + self.step], facing, self.batch_size)
                    yield None

    @property
    def remarks(self) -> Message:
        """What every reply says that is made of answers."""
        remarks: Message = {"precision": self.precision, "notes": self.notes}
        if self.trouble is not None:
            remarks["edit_error"] = {"edit": self.trouble.edit, "error": str(self.trouble)}
        return remarks


class Views:
    """What a session keeps: networks, and the answers of the policies that it was asked about lately.

    Attributes:
        sources: what `load_policy` takes for each network that the page can choose, by name.
    """

    def __init__(self) -> None:
        self.sources: dict[str, str] = {name: name for name in list_policies()}
        self._networks: dict[str, Network] = {}
        self._answers: OrderedDict[object, Answers] = OrderedDict()

    def add(self, policy: str | Path) -> str:
        """Makes sure that a network can be chosen, and returns its name.

        Raises:
            FileNotFoundError, CheckpointError: as `load_policy`.
        """
        if isinstance(policy, str) and policy in self.sources:
            return policy
        name = str(load_policy(policy).name)
        self.sources[name] = str(policy)
        return name

    def forget_answers(self) -> None:
        """Drops the answers, keeps the networks."""
        self._answers.clear()

    def network(self, name: str) -> Network:
        """A network by name, loaded on first use.

        Raises:
            RequestError: there is none of that name.
        """
        if name not in self.sources:
            raise RequestError(f"unknown policy {name[:60]!r}; there are {', '.join(self.sources)}")
        if name not in self._networks:
            exact = looking = load_policy(self.sources[name])
            if rounding_pays(exact.width):
                looking = load_policy(self.sources[name])
                looking.precision = "bfloat16"
            self._networks[name] = Network(exact, looking)
        return self._networks[name]

    def edit(self, state: State, index: int) -> Edit:
        """One of a state's edits.

        Raises:
            RequestError: it does not fit its parameters, or the network; it says which it is.
        """
        try:
            edit = make_edit(state.edits[index])
            edited(self.network(state.policy).exact, edit)
        except Exception as error:  # whatever a user's own edit may raise
            raise RequestError(_sentence(error, index, state), index) from error
        return edit

    def policy(self, state: State, *, looking: bool) -> ImpalaPolicy | EditedPolicy:
        """The policy with the edits that are on.

        Raises:
            RequestError: one does not fit; it says which.
        """
        network = self.network(state.policy)
        base = network.looking if looking else network.exact
        edits = [self.edit(state, i) for i, asked in enumerate(state.edits) if asked.on]
        if not edits:
            return base
        policy = edited(base, *edits)
        if state.level is not None:
            self._try(policy, state)
        return policy

    def _try(self, policy: EditedPolicy, state: State) -> None:
        """One pass, to find the edit to blame before a field is begun: channels and cells may be out of range."""
        assert state.level is not None
        try:
            record(policy, state.level, policy.layers[-1])
            return
        except Exception as error:  # whatever a user's own edit may raise
            reason = error
        on = [i for i, asked in enumerate(state.edits) if asked.on]
        for count in range(1, len(on) + 1):
            try:
                record(edited(policy.base, *policy.edits[:count]), state.level, policy.layers[-1])
            except Exception as error:  # as above
                raise RequestError(_sentence(error, on[count - 1], state), on[count - 1]) from error
        raise RequestError(str(reason)) from reason

    def view(self, state: State, *, looking: bool = True) -> View | None:
        """The state with its policies; None if there is no open square."""
        network = self.network(state.policy)
        if state.level is None:
            return None
        base = network.looking if looking else network.exact
        notes = []
        if state.level.reflected:
            notes.append("The arrows are those of the reflected mouse; published ones are unreflected.")
        trouble: RequestError | None = None
        # Without edits it does not matter where the mouse stands, nor where the maze came from.
        bare = Level(state.level.grid, _any_open(state.level), state.level.background)
        answers = {BEFORE: self._known((state.policy, base.precision, bare), base, bare)}
        if any(asked.on for asked in state.edits):
            try:
                # With its class: a notebook may have registered another under the same name since.
                stack = [(asked.key, type(self.edit(state, i))) for i, asked in enumerate(state.edits) if asked.on]
                key = (state.policy, base.precision, state.level, tuple(stack))
                found = self._answers.get(key)
                policy = self.policy(state, looking=looking) if found is None else found.policy
                if getattr(policy, "stochastic", False):
                    raise RequestError("an edit is stochastic, so no field and no exact outcome describes it; play it")
                answers[AFTER] = self._known(key, policy, state.level)
            except RequestError as error:
                trouble = error
                notes.append(f"There is no answer with the edits: {error}.")
        return View(state.level, answers, base.precision, network.exact.width, notes, trouble)

    def _known(self, key: object, policy: Policy, level: Level) -> Answers:
        """What is known of a policy in a level, kept under a key; the longest unused leave."""
        found = self._answers.pop(key, None) or Answers(policy, level)
        self._answers[key] = found
        while len(self._answers) > _ANSWERS_KEPT:
            self._answers.popitem(last=False)
        return found


def _any_open(level: Level) -> Square:
    y, x = np.unravel_index(int((level.grid != WALL).argmax()), level.grid.shape)
    return int(x), int(y)


@functools.cache
def rounding_pays(width: int) -> bool:
    """Whether this machine runs a network of some width markedly faster in bfloat16.

    The narrowest is not asked: it is fast enough for its numbers to be exact.
    """
    if width == 1:
        return False
    network, observations = ImpalaPolicy(width), observe(Level.from_seed(0)).repeat(8, axis=0)
    seconds = {"float32": math.inf, "bfloat16": math.inf}
    for _ in range(4):  # the best of some: the first pass prepares things, and others use the machine too
        for network.precision in get_args(Precision):
            began = time.perf_counter()
            with torch.no_grad():
                network(observations)
            seconds[network.precision] = min(seconds[network.precision], time.perf_counter() - began)
    return seconds["float32"] > _WORTHWHILE * seconds["bfloat16"]


def _sentence(error: Exception, index: int, state: State) -> str:
    """What an edit's failure means to whoever made it."""
    said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return f"edit {index + 1} ({state.edits[index].name}): {said}"
