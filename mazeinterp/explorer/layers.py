"""A layer's channels as maps, ranked: what the request `layer` is answered by."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..analysis.channel_measures import mean_maps, measure_channels, tracking
from ..analysis.probing import probing_levels
from ..edits.cells import cell_of
from ..edits.recording import check_layer, record
from ..maze.worlds import Mode
from .protocol import Request, RequestError, number
from .views import Message, Views

_RANKING_LEVELS, _RANKED_AT_A_TIME = 32, 8


class Layers:
    """Answers about layers; keeps each layer's ranking once it has been made."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._ranked: dict[tuple[str, str, str], list[float]] = {}

    def answer(self, request: Request) -> Iterator[Message | None]:
        """The reply to a request of the kind `layer`.

        Raises:
            RequestError: there is no such layer, or nothing to show the network.
        """
        values, layer = self._activation(request)
        flat = values.reshape(len(values), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
        spread = np.where(high > low, high - low, 1.0)
        scaled = (flat - low[:, None]) / spread[:, None] * 255
        maps = np.rint(np.nan_to_num(scaled)).clip(0, 255).astype(np.uint8)  # an edit may make any number
        cells = values.ndim == 3
        level = request.state.level
        assert level is not None
        mode, world = level.mode, range(level.world)
        size = values.shape[1] if cells else 0
        reply: Message = {
            "done": False,
            "shape": list(values.shape) if cells else [len(values), 1, 1],
            "minimum": [number(value) for value in low],
            "maximum": [number(value) for value in high],
            "maps": base64.b64encode(maps.tobytes()).decode(),
            "rows": [cell_of((0, y), size, mode)[0] for y in world] if cells else None,
            "columns": [cell_of((x, 0), size, mode)[1] for x in world] if cells else None,
        }
        known = self._ranked.get((request.state.policy, layer, mode))
        if known is None:
            # A layer without cells has one number a feature and no probe of places: its size ranks it.
            scores = np.abs(flat[:, 0]) if not cells else high - low
            name = "activation range on this level" if cells else "size of the activation on this level"
            yield reply | _ranking(scores.tolist(), name) | {"done": not cells}
            if not cells:
                return
            yield from self._rank(request.state.policy, layer, mode)
            known = self._ranked[request.state.policy, layer, mode]
        name = f"probe: how often the peak goes along with the cheese, {_RANKING_LEVELS} levels"
        yield reply | _ranking(known, name) | {"done": True}

    def _rank(self, policy: str, layer: str, mode: Mode) -> Iterator[None]:
        """Scores a layer's channels by the probe for the cheese, a few levels at a time."""
        network, levels = self._views.network(policy).exact, probing_levels(_RANKING_LEVELS, "choosing", mode=mode)
        parts = [levels[start : start + _RANKED_AT_A_TIME] for start in range(0, len(levels), _RANKED_AT_A_TIME)]
        maps = []
        for part in parts:
            maps.append(mean_maps(network, part, layer)[layer])
            yield None
        reference, frames = {layer: np.mean(maps, axis=0)}, []
        for part in parts:
            frames.append(measure_channels(network, part, layer, reference=reference, things=()))
            yield None
        scores = tracking(pd.concat(frames, ignore_index=True)).set_index("channel")["score"].sort_index()
        self._ranked[policy, layer, mode] = scores.tolist()

    def _activation(self, request: Request) -> tuple[NDArray[np.float32], str]:
        state, layer = request.state, request.get("layer", str)
        network = self._views.network(state.policy).exact
        try:
            check_layer(layer, network.layers)
        except ValueError as error:
            raise RequestError(str(error)) from None
        if state.level is None:
            raise RequestError("there is no open square, so there is nothing to show the network; open one")
        policy = self._views.policy(state, looking=False) if request.get("edited", bool) else network
        return record(policy, state.level, layer)[layer][0].numpy(), layer


def _ranking(scores: list[float], name: str) -> Message:
    order = sorted(range(len(scores)), key=lambda channel: -scores[channel])
    return {"order": order, "order_name": name, "scores": [number(score, 4) for score in scores]}
