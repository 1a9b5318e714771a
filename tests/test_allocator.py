"""Keeping freed memory: pages that are used again and again are mapped once."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from devp2p.allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1:] else None
for size in (4, 10, 7, 12) * 5:
    blocks = [bytes(range(256)) * 4096 * size for _ in range(3)]
    del blocks
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such setting")
def test_freed_memory_is_used_again():
    (_, faults), (kept, fewer) = (
        subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True).stdout.split()
        for arguments in ([], ["keep"])
    )
    assert kept == "True"
    assert int(fewer) < int(faults) / 3
