from .catalogue import ITEMS, find_items
from .claims import Claim, Source, direction, effect, observation, within
from .command import reproduce
from .items import FULL, QUICK, Item, Result, Settings, Sizes
from .overview import write_overview
from .report import write_report
from .running import publish, reproduce_items

__all__ = [
    "FULL",
    "ITEMS",
    "QUICK",
    "Claim",
    "Item",
    "Result",
    "Settings",
    "Sizes",
    "Source",
    "direction",
    "effect",
    "find_items",
    "observation",
    "publish",
    "reproduce",
    "reproduce_items",
    "within",
    "write_overview",
    "write_report",
]
