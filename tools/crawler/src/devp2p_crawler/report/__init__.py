"""The report: one HTML file that opens anywhere, without a network, and in which nothing that peers wrote can act."""

from devp2p_crawler.report.page import render

__all__ = ["render"]
