"""What cannot be measured in a maze, and why, in sentences for the page."""

from __future__ import annotations

from ..maze.worlds import Square
from .protocol import State


def maze_notes(
    state: State, to_cheese: list[Square] | None, to_corner: list[Square] | None, decides: bool
) -> list[str]:
    """What cannot be measured, and why."""
    level = state.level
    assert level is not None
    notes = []
    if state.mouse_in_wall:
        return ["The mouse stands in a wall: there are arrows, but no paths, outcomes or episodes from there."]
    if not level.cheeses:
        notes.append("There is no cheese: no path leads to it, and there is no decision square.")
    elif level.mouse in level.cheeses:
        notes.append("The mouse stands on a cheese: the episode is over before it begins.")
    elif len(level.cheeses) > 1:
        notes.append(
            f"There are {len(level.cheeses)} cheeses, so there is no decision square; the path leads to the nearest."
        )
    elif to_cheese is None:
        notes.append("No path leads from the mouse to the cheese.")
    if to_corner is None:
        notes.append("No path leads from the mouse to the corner.")
    if len(level.cheeses) == 1 and to_cheese is not None and to_corner is not None and not decides:
        notes.append("There is no decision square: the cheese or the corner lies on the way to the other.")
    return notes


def no_episode(state: State) -> str | None:
    """Why no episode can be played, None if one can."""
    if state.level is None:
        return "There is no open square, so there is nowhere to go."
    if state.mouse_in_wall:
        return "The mouse stands in a wall, so no episode starts there; put it on an open square."
    if state.level.mouse in state.level.cheeses:
        return "The mouse stands on a cheese, so the episode is over before it begins; move either."
    return None


def no_path(state: State) -> str | None:
    """Why no path starts at the mouse, None if one does."""
    if state.level is None:
        return "There is no open square, so there is no path."
    if state.mouse_in_wall:
        return "The mouse stands in a wall, so no path starts at it; put it on an open square."
    return None
