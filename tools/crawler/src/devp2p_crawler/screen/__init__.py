"""What is seen of a crawl while it runs: a live screen, lines of text, JSON, metrics for Prometheus.

`live` (which needs rich) and `metrics` (which needs Prometheus's library) are imported when they are asked for, by `live_view` and
`exposed`.
"""

from devp2p.terminal import Outlet
from devp2p_crawler.screen.diagnosis import explain
from devp2p_crawler.screen.exposure import exposed
from devp2p_crawler.screen.plain import JsonView, PlainView, json_lost, text_lost
from devp2p_crawler.screen.scene import LiveScreen, Scene, View, progress, summary

__all__ = [
    "JsonView",
    "LiveScreen",
    "PlainView",
    "Scene",
    "View",
    "explain",
    "exposed",
    "json_lost",
    "live_view",
    "progress",
    "summary",
    "text_lost",
]


def live_view(stdout: Outlet) -> LiveScreen:
    """A live screen on a terminal."""
    from devp2p_crawler.screen.live import LiveView  # noqa: PLC0415  (rich takes a while to import)

    return LiveView(stdout)
