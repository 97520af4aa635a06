"""Interventions: record a network's activations, edit them in the forward pass, and compute steering vectors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
