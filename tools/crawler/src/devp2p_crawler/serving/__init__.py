"""A file of crawls by HTTP, to read only: a JSON API, and the report as it is now. By default to this machine alone."""

from devp2p_crawler.serving.application import application
from devp2p_crawler.serving.reading import Live, Reader

__all__ = ["Live", "Reader", "application"]
