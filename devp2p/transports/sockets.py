"""Accepting connections, whatever kind of socket they come from."""

import errno
import logging
import math
from collections.abc import Callable

import trio

from devp2p.transports import OnLink, StreamLink

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_RESOURCE_PAUSE = 0.2  # seconds until accepting is tried again when the system is out of file descriptors or memory
_TOLD_EVERY = 60.0  # seconds between two warnings of that

_logger = logging.getLogger(__name__)


async def accept_links(listener: trio.SocketListener, make_link: Callable[[trio.SocketStream], StreamLink], on_link: OnLink) -> None:
    """Accept connections until cancelled, one after the other, as fast as `on_link` takes them."""
    told = -math.inf
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                raise
            if trio.current_time() - told >= _TOLD_EVERY:
                _logger.warning("cannot accept connections now: %s", error)
                told = trio.current_time()
            await trio.sleep(_RESOURCE_PAUSE)
            continue
        try:
            link = make_link(stream)
        except OSError:  # gone again between the kernel's accept and ours
            await trio.aclose_forcefully(stream)
            continue
        await on_link(link)
