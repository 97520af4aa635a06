"""Measurements: what a policy does in a maze, and how sure we are of it. Everything here reads policy tables."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
