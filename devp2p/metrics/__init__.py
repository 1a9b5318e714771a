"""A node's figures for Prometheus, by its client library: the extra ``devp2p[metrics]``. Nothing else imports this.

`NodeCollector` gives the figures of a node to any registry of that library; `serve` tells them to whoever asks by HTTP, in Prometheus's
text format. ``devp2p node --metrics HOST:PORT`` does the latter.

    listeners = await metrics.listen(Address("tcp", "127.0.0.1", 9100))
    nursery.start_soon(metrics.serve, node, listeners)
"""

from devp2p.metrics.collector import NodeCollector
from devp2p.metrics.serving import listen, serve, url_of

__all__ = ["NodeCollector", "listen", "serve", "url_of"]
