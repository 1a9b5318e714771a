"""What capabilities do beside their sessions, for as long as the node runs: `Capability.serve`."""

import logging
from collections.abc import Iterable
from typing import Any

import trio

from devp2p.capability import AnyCapability, Capability

_logger = logging.getLogger(__name__)


def serving(capabilities: Iterable[AnyCapability]) -> list[AnyCapability]:
    """Those that do something beside their sessions."""
    return [capability for capability in capabilities if vars(Capability)["serve"] is not getattr(type(capability), "serve", None)]


async def serve(capability: AnyCapability, node: Any, *, strict: bool) -> None:  # noqa: ANN401  (the `Node`, which imports this)
    """Run a capability's own part of the node; its failure is logged and ends nothing else, unless `strict`."""
    try:
        await capability.serve(node)
    except (trio.Cancelled, KeyboardInterrupt):
        raise
    except Exception:
        if strict:
            raise
        _logger.exception("%s/%d has failed to serve this node, which goes on without that", capability.name, capability.version)
