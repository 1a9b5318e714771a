"""A visit that fails in a way that nobody foresaw is over, and the crawl goes on: it is our fault, which is counted and told once."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from devp2p_crawler.crawling.counts import Counts

OUR_FAULT: Final = "our own fault"

_logger = logging.getLogger(__name__)


class Faults:
    """The faults of one crawl."""

    def __init__(self, counts: Counts, *, strict: bool) -> None:
        """With `strict` they end the crawl, as tests want it."""
        self._counts = counts
        self._strict = strict

    @contextmanager
    def contained(self) -> Generator[None]:
        """Let what is done here fail by itself. The first failure is logged with its traceback."""
        try:
            yield
        except Exception:
            if self._strict:
                raise
            self._counts.skipped[OUR_FAULT] += 1
            if self._counts.skipped[OUR_FAULT] == 1:
                _logger.exception("a visit failed in a way that was not foreseen; further ones are counted")
