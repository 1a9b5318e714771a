"""The `devp2p` command, on a machine whose clock can be set: ``python -m tests.soak.jumping CLOCK COMMAND...``.

CLOCK is a file of eight bytes: by how many seconds, as a double, the system's time is off. Monotonic clocks go on as they are.
"""

import mmap
import struct
import sys
import time
from pathlib import Path


def main() -> int:
    clock, *command = sys.argv[1:]
    with Path(clock).open("rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    right = time.time
    time.time = lambda: right() + float(struct.unpack_from("d", offset)[0])

    from devp2p.cli import main as run  # noqa: PLC0415  (with the clock in place)

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
