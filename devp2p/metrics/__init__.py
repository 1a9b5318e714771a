"""A node's metrics for Prometheus, by its client library: the extra ``devp2p[metrics]``. Nothing else imports this.

`NodeCollector` exposes the metrics of a node to any registry of that library; `serve` serves them by HTTP, in Prometheus's text format.
``devp2p node --metrics HOST:PORT`` does the latter. (A capability's own `metric`, by which it rates its peers, is in `devp2p.conduct`.)

    listeners = await metrics.listen(Address("tcp", "127.0.0.1", 9100))
    nursery.start_soon(metrics.serve, node, listeners)

A program with metrics of its own serves them in the same way, with `serve_collector`; `gauge` and `counter` make their families.
"""

from devp2p.metrics.collector import NodeCollector
from devp2p.metrics.families import counter, gauge
from devp2p.metrics.serving import listen, serve, serve_collector, url_of

__all__ = ["NodeCollector", "counter", "gauge", "listen", "serve", "serve_collector", "url_of"]
