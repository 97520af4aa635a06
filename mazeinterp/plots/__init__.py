"""Pictures: each function takes results and an `Axes` or makes one, and returns it; none calls `show`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
