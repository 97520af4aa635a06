"""Keeps freed memory in the process, which makes training on the CPU about a quarter faster with glibc."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Tells glibc's allocator to keep what is freed; elsewhere it does nothing.

    An update's activations are buffers of tens of megabytes. By default glibc maps each one anew and returns it to the
    system after use, so that every update pays for clearing their pages again; kept, an imitation update of width 1
    took 0.8 of the time. The process holds on to its peak memory from then on.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
