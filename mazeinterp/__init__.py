"""mazeinterp: find out what a maze-solving network wants, and change it without retraining."""

import lazy_loader

from .maze import register_environments

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"

register_environments()  # so that gymnasium.make finds the maze once this package is imported
