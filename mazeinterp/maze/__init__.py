"""The world: procgen's maze, its levels, pictures, paths and environments. Never imports torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def register_environments() -> None:
    """Registers the maze with Gymnasium as "mazeinterp/Maze-v0"; importing `mazeinterp` does it."""
    import gymnasium

    gymnasium.register(
        id="mazeinterp/Maze-v0",
        entry_point="mazeinterp.maze.single_environment:MazeEnv",
        vector_entry_point="mazeinterp.maze.environment:make_vector",
        disable_env_checker=True,
    )
