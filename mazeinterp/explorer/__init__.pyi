from .command import explore
from .script import write_script
from .session import Session
from .widget import Explorer

__all__ = ["Explorer", "Session", "explore", "write_script"]
