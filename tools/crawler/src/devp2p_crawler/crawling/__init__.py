"""All of it at once: a crawl as it runs."""

from devp2p_crawler.crawling.crawler import Crawler
from devp2p_crawler.crawling.running import CrawlError, run_crawl
from devp2p_crawler.crawling.sessions import SessionSink
from devp2p_crawler.crawling.settings import CrawlSettings

__all__ = ["CrawlError", "CrawlSettings", "Crawler", "SessionSink", "run_crawl"]
