"""Accepting connections, whatever kind of socket they come from."""

import errno
import logging
from collections.abc import Callable

import trio

from devp2p.transports import OnLink, StreamLink

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_RESOURCE_PAUSE = 0.2  # seconds until accepting is tried again when the system is out of file descriptors or memory

_logger = logging.getLogger(__name__)


async def accept_links(listener: trio.SocketListener, make_link: Callable[[trio.SocketStream], StreamLink], on_link: OnLink) -> None:
    """Accept connections until cancelled, one after the other, as fast as `on_link` takes them."""
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                raise
            _logger.warning("cannot accept a connection now: %s", error)
            await trio.sleep(_RESOURCE_PAUSE)
            continue
        try:
            link = make_link(stream)
        except OSError:  # gone again between the kernel's accept and ours
            await trio.aclose_forcefully(stream)
            continue
        await on_link(link)
