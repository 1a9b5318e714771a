"""All of it at once: a crawl as it runs.

settings    what a crawl is told
running     `run_crawl`: opens stores, sockets and discovery, and ends everything
crawler     whom to visit next, how many at a time, when it is over; `Crawler.snapshot`
asking calling    the stage by UDP, and after it the one by TCP
sources     nodes of bootnodes, earlier crawls and DNS
state counts rows silence    what all of these share; what is counted; what is written; why nothing is found
"""

from devp2p_crawler.crawling.crawler import Crawler
from devp2p_crawler.crawling.running import CrawlError, run_crawl
from devp2p_crawler.crawling.sessions import SessionSink
from devp2p_crawler.crawling.settings import CrawlSettings

__all__ = ["CrawlError", "CrawlSettings", "Crawler", "SessionSink", "run_crawl"]
