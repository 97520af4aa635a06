"""The explorer: a page, or a notebook widget, to edit mazes and forward passes and see at once what a policy does."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
