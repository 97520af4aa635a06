from .environment import MazeVectorEnv
from .levels import Level, Levels, LevelsLike, generate
from .paths import (
    ACTION_MOVE,
    MOVE_ACTION,
    MOVES,
    Decision,
    Decisions,
    best_moves,
    corner,
    decision_square,
    decision_squares,
    distances,
    in_top_right,
    is_tree,
    shortest_path,
)
from .procgen import MazeState, ProcgenMazes, install
from .rendering import observe, picture, sheet
from .single_environment import ENV_ID, MazeEnv
from .worlds import MODES

__all__ = [
    "ACTION_MOVE",
    "ENV_ID",
    "MODES",
    "MOVES",
    "MOVE_ACTION",
    "Decision",
    "Decisions",
    "Level",
    "Levels",
    "LevelsLike",
    "MazeEnv",
    "MazeState",
    "MazeVectorEnv",
    "ProcgenMazes",
    "best_moves",
    "corner",
    "decision_square",
    "decision_squares",
    "distances",
    "generate",
    "in_top_right",
    "install",
    "is_tree",
    "observe",
    "picture",
    "sheet",
    "shortest_path",
]
