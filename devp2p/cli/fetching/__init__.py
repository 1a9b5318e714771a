"""What `devp2p fetch` writes: blocks as rows, and rows in the formats that it offers."""

from devp2p.cli.fetching.rows import KINDS, Kind
from devp2p.cli.fetching.writers import FORMATS, check_format, open_writer

__all__ = ["FORMATS", "KINDS", "Kind", "check_format", "open_writer"]
