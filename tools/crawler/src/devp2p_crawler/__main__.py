"""``python -m devp2p_crawler`` is ``devp2p-crawl``."""

import sys

from devp2p_crawler.cli import main

if __name__ == "__main__":
    sys.exit(main())
