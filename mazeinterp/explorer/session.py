"""Answers to the page's requests: no network, no threads, no view of its own.

Each answer is a generator that stops after every batch of the policy's network, so that whoever runs it can leave it
for something newer. It yields the messages of the reply, and None where it merely stopped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..analysis.evaluation import REPORTING_SEEDS
from ..analysis.fields import VectorField, path_probabilities
from ..analysis.outcomes import exact_outcomes
from ..analysis.table import FACINGS
from ..analysis.walks import Episode, walk, walk_table
from ..edits.recording import record
from ..edits.registry import format_edit, list_edits, list_vectors
from ..maze.generation import BACKGROUNDS, FREE
from ..maze.levels import Level, Levels
from ..maze.paths import MOVES, corner, decision_square, distances, shortest_path
from ..maze.rendering import encode_png, observe
from ..maze.worlds import MODES, SEEDS, Square, square_of
from .answers import nearest_first
from .controls import PRESETS, describe_entries, make_edit
from .layers import Layers
from .notes import maze_notes, no_episode, no_path
from .protocol import (
    EDITS,
    MESSAGE_BYTES,
    Request,
    RequestError,
    level_fields,
    number,
)
from .script import write_script
from .views import AFTER, BEFORE, Message, View, Views

Steps = Iterator[Message | None]


class Session:
    """Answers requests. It keeps networks and what they answered lately, and no view, so any number of tabs share it.

    To be used by one thread at a time.

    Attributes:
        start: what the page starts with: policy, seed, mode.
    """

    def __init__(self, policy: str | Path = "rand_region_5", seed: int = 0, mode: str = "hard") -> None:
        """Loads the network that the page starts with.

        Args:
            policy: name out of the catalogue, or the path of a checkpoint.
            seed: level seed in [0, 2³¹).
            mode: "hard" or "easy".

        Raises:
            FileNotFoundError, CheckpointError: as `load_policy`.
            ValueError: the seed is out of range or the mode unknown.
        """
        Level.from_seed(seed, mode)  # type: ignore[arg-type]  # says what is wrong with them
        self._views = Views()
        self._layers = Layers(self._views)
        name = self._views.add(policy)
        self.start: Message = {"policy": name, "seed": seed, "mode": mode}

    def warm_up(self) -> None:
        """Loads the first network and runs everything once, so that the page's first request finds it compiled."""
        state = {**level_fields(Level.from_seed(self.start["seed"], self.start["mode"]))}
        state |= {"policy": self.start["policy"], "edits": []}
        for kind in ("catalogue", "maze", "field", "outcome"):
            for _ in self.answer(Request(0, kind, {"state": state})):
                pass
        self._views.forget_answers()

    def answer(self, request: Request) -> Steps:
        """The reply to a request, message by message, without id and kind; None where it only stopped for breath.

        Raises:
            RequestError: it cannot be answered.
        """
        answers = {
            "catalogue": self._catalogue,
            "level": self._level,
            "maze": self._maze,
            "field": self._field,
            "paths": self._paths,
            "outcome": self._outcome,
            "layer": self._layers.answer,
            "episode": self._episode,
            "python": self._python,
            "data": self._data,
        }
        return answers[request.kind](request)

    # What there is

    def _catalogue(self, request: Request) -> Steps:
        policies, layers = [], {}
        for name in self._views.sources:
            network = self._views.network(name)
            recipe = network.exact.recipe
            region = recipe.get("cheese_region")
            where = "anywhere" if region is None else f"in the top-right {region} × {region} cells"
            policies.append(
                {
                    "name": name,
                    "width": network.exact.width,
                    "summary": f"{_training(recipe)}, cheese in training {where}",
                    "default": name == self.start["policy"],
                    "precision": network.looking.precision,
                }
            )
            shapes = record(network.exact, Level.from_seed(0), network.exact.layers)
            layers[name] = [{"name": layer, "shape": list(values.shape[1:])} for layer, values in shapes.items()]
            yield None
        yield {
            "policies": policies,
            "layers": layers,
            "edits": describe_entries(list_edits()),
            "vectors": describe_entries(list_vectors()),
            "presets": PRESETS,
            "moves": MOVES,
            "modes": MODES,
            "backgrounds": BACKGROUNDS,
            "limits": {"message_bytes": MESSAGE_BYTES, "edits": EDITS, "seeds": SEEDS},
            "version": version("mazeinterp"),
            "start": self.start,
        }

    def _level(self, request: Request) -> Steps:
        mode, seed = request.get("mode", str), request.get("seed", int, optional=True)
        size = request.get("maze_dim", int, optional=True)
        region = request.get("cheese_region", int, optional=True)
        if mode not in MODES:
            raise RequestError(f"mode is {mode[:20]!r}; it is one of {', '.join(MODES)}")
        if size is not None and size not in range(3, MODES[mode] + 1, 2):
            raise RequestError(f"maze_dim is {size}; in mode {mode!r} it is odd, from 3 to {MODES[mode]}")
        if region is not None and not 0 <= region <= MODES[mode]:
            raise RequestError(f"cheese_region is {region}; it is from 0 to {MODES[mode]}, or null")
        if seed is None:
            seed = int(np.random.default_rng().integers(REPORTING_SEEDS))
        if not 0 <= seed < SEEDS:
            raise RequestError(f"seed is {seed}; level seeds lie in [0, 2**31)")
        while size is not None:
            some = Levels.from_seeds(range(seed, min(seed + 64, SEEDS)), mode)
            found = np.flatnonzero(some.maze_dim == size)
            if found.size:
                seed += int(found[0])
                break
            seed = seed + 64 if seed + 64 < SEEDS else 0
        yield level_fields(Level.from_seed(seed, mode, region))

    # The maze

    def _maze(self, request: Request) -> Steps:
        state = request.state
        stack: list[Message] = []
        for i in range(len(state.edits)):
            try:
                stack.append({"text": format_edit(self._views.edit(state, i)), "error": None})
            except RequestError as error:
                stack.append({"text": state.edits[i].name, "error": str(error)})
        if state.level is None:
            nothing: Message = {"corner": None, "decision": None, "path_cheese": [], "path_corner": []}
            notes = ["There is no open square: everything is wall."]
            yield nothing | {"observation_png": None, "free": 0, "edited": True, "edits": stack, "notes": notes}
            return
        level, target = state.level, square_of(corner(state.level)[0])
        decision = None if state.mouse_in_wall else decision_square(level)
        to_cheese = None if state.mouse_in_wall else _path_to_cheese(level)
        to_corner = None if state.mouse_in_wall else shortest_path(level, goal=target)
        yield {
            "observation_png": base64.b64encode(encode_png(observe(level)[0])).decode(),
            "free": int((level.grid == FREE).sum()),
            "corner": target,
            "decision": None
            if decision is None
            else {
                "square": decision.square,
                "cheese_move": MOVES[decision.cheese_move],
                "corner_move": MOVES[decision.corner_move],
            },
            "path_cheese": to_cheese or [],
            "path_corner": to_corner or [],
            "edited": level.edited or level.seed is None,
            "edits": stack,
            "notes": maze_notes(state, to_cheese, to_corner, decision is not None),
        }

    # What the policies do

    def _field(self, request: Request) -> Steps:
        view = self._views.view(request.state)
        asked = request.get("which", list, optional=True) or [BEFORE, AFTER]
        if not all(which in (BEFORE, AFTER) for which in asked):
            raise RequestError(f"which holds {BEFORE!r} and {AFTER!r}, not {asked!r}")
        if view is None:
            yield {"decision": {}, "precision": None, "notes": ["There is no open square, so there are no arrows."]}
            return
        level, facing = view.level, view.level.reflected
        order = nearest_first(level, level.mouse)
        streams = [self._parts(view, which, facing, order) for which in asked if which in view.answers]
        while streams:  # in turns: the squares nearest the mouse, before and after, come first
            for stream in list(streams):
                if (part := next(stream, None)) is None:
                    streams.remove(stream)
                else:
                    yield part
        decision = None if request.state.mouse_in_wall else decision_square(level)
        numbers: Message = {}
        if decision is not None:
            x, y = decision.square
            for which in (name for name in asked if name in view.answers):
                chances = view.answers[which].moves[int(facing), y, x]
                moves = (("p_cheese_move", decision.cheese_move), ("p_corner_move", decision.corner_move))
                numbers[which] = {name: number(chances[move], 4) for name, move in moves}
        yield {"decision": numbers} | view.remarks

    def _parts(self, view: View, which: str, facing: bool, order: NDArray[np.int64]) -> Iterator[Message]:
        answers = view.answers[which]
        size = max(len(order), 1) if answers.knows(facing) else view.step
        first = size if answers.knows(facing) else view.first_step
        starts = [0, *range(first, len(order), size)] if len(order) else []
        for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
            squares = order[start:end]
            answers.ask(squares, facing, view.batch_size)
            x, y = squares.T
            moves, value = answers.moves[int(facing), y, x], answers.value[int(facing), y, x]
            yield {
                "done": False,
                "which": which,
                "squares": squares.tolist(),
                "moves": np.round(moves.astype(np.float64), 4).tolist(),
                "value": [number(item, 3) for item in value],
            }

    def _paths(self, request: Request) -> Steps:
        view = self._views.view(request.state)
        trouble = no_path(request.state)
        if view is None or trouble is not None:
            yield {"notes": [trouble]}
            return
        facing = view.level.reflected
        yield from view.fill((facing,))
        reply = view.remarks
        for which, answers in view.answers.items():
            chances = path_probabilities(VectorField.from_table(answers.table(view.level), 0, facing))
            y, x = np.nonzero(np.isfinite(chances))
            places = zip(x.tolist(), y.tolist(), chances[y, x].tolist(), strict=True)
            reply[which] = [[column, row, number(chance, 4)] for column, row, chance in places]
        yield reply

    def _outcome(self, request: Request) -> Steps:
        view, state = self._views.view(request.state), request.state
        trouble = no_episode(state)
        if view is None or trouble is not None:
            yield {"precision": None, "notes": [trouble]}
            return
        yield from view.fill(FACINGS)
        reply, notes = view.remarks, view.notes
        for which, answers in view.answers.items():
            row = exact_outcomes(answers.table(view.level)).iloc[0]
            reply[which] = {name: number(row[name]) for name in ("p_cheese", "p_corner_first", "expected_steps")}
        if not view.level.cheeses:
            notes.append("There is no cheese: P(cheese) is 0, and every episode takes 500 steps.")
        elif square_of(corner(view.level)[0]) in view.level.cheeses:
            notes.append("The cheese lies on the corner, so which comes first is undefined.")
        if len(view.level.cheeses) > 1:
            notes.append(f"There are {len(view.level.cheeses)} cheeses; P(cheese) is that of reaching any of them.")
        yield reply

    def _episode(self, request: Request) -> Steps:
        state, seed = request.state, request.get("seed", int)
        greedy, which = request.get("greedy", bool), AFTER if request.get("edited", bool) else BEFORE
        if (trouble := no_episode(state)) is not None:
            raise RequestError(trouble)
        network = self._views.network(state.policy).looking
        policy = self._views.policy(state, looking=True) if which == AFTER else network
        if getattr(policy, "stochastic", False):
            assert state.level is not None
            episode = walk(policy, state.level, seed=seed, greedy=greedy)
        else:
            view = self._views.view(state)
            assert view is not None
            chosen = replace(view, answers={BEFORE: view.answers.get(which, view.answers[BEFORE])})
            yield from chosen.fill(FACINGS)
            table = chosen.answers[BEFORE].table(view.level)
            episode = walk_table(table.greedy() if greedy else table, seed=seed)
        yield _episode_fields(episode) | {"precision": network.precision}

    # What to take along

    def _python(self, request: Request) -> Steps:
        state = request.state
        if state.level is None:
            raise RequestError("there is no open square, so there is no view to reproduce; open one")
        edits = [make_edit(asked) for asked in state.edits if asked.on]
        self._views.network(state.policy)
        yield {"code": write_script(state.level, self._views.sources[state.policy], edits)}

    def _data(self, request: Request) -> Steps:
        view = self._views.view(request.state, looking=False)
        if view is None:
            raise RequestError("there is no open square, so there is no table; open one")
        yield from view.fill(FACINGS)
        frames = {which: answers.table(view.level).to_frame() for which, answers in view.answers.items()}
        names = {which: getattr(answers.policy, "name", which) for which, answers in view.answers.items()}
        parts = [frame.assign(policy=names[which], which=which) for which, frame in frames.items()]
        table = pd.concat(parts, ignore_index=True)
        columns = ["which", "policy", *[name for name in table.columns if name not in ("which", "policy")]]
        yield {"csv": table[columns].to_csv(index=False)} | view.remarks


def _training(recipe: dict[str, Any]) -> str:
    """What a network was trained by, of its configuration's name."""
    return str(recipe.get("recipe", "own training")).removesuffix("Config")


def _episode_fields(episode: Episode) -> Message:
    facing, facings = episode.level.reflected, [episode.level.reflected]
    for move in episode.moves:
        facing = {"left": False, "right": True}.get(MOVES[move], facing)
        facings.append(facing)
    return {
        "squares": episode.squares,
        "moves": [MOVES[move] for move in episode.moves],
        "reflected": facings,
        "found": episode.found,
    }


def _path_to_cheese(level: Level) -> list[Square] | None:
    """The shortest path to the nearest cheese, None if there is none."""
    steps = distances(level, level.mouse)[0]
    reached = [(steps[y, x], (x, y)) for x, y in level.cheeses if steps[y, x] >= 0]
    return shortest_path(level, goal=min(reached)[1]) if reached else None
