"""All of it at once: a crawl as it runs."""

from devp2p_crawler.crawling.settings import CrawlSettings

__all__ = ["CrawlSettings"]
