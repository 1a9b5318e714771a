"""How the C library treats memory that was freed, for programs that have a process to themselves."""

import ctypes
import sys
from typing import Final

_MIB: Final = 2**20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST: Final = 32 * _MIB  # what glibc accepts as the second; the largest message has half of that


def keep_freed_memory(kept: int = 128 * _MIB) -> bool:
    """Have the C library keep up to `kept` bytes of freed memory for what comes next; returns whether it will.

    By default glibc gives large blocks back to the system as soon as they are free and asks for new ones a moment later. A message of
    10 MiB passes through several such blocks, and mapping their pages anew takes longer than anything else that is done with it: on the
    machine of the benchmarks 4 ms a block, for which the loop stands still. ``devp2p node`` calls this; a library must not, since it is
    for the whole process. Without glibc it does nothing.
    """
    if sys.platform == "win32":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST) and mallopt(_M_TRIM_THRESHOLD, kept))
