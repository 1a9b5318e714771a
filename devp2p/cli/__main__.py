"""``python -m devp2p.cli``, for where the ``devp2p`` script is not on the PATH."""

import sys

from devp2p.cli import main

if __name__ == "__main__":
    sys.exit(main())
