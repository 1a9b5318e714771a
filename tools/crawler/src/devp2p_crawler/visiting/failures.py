"""What the system says of an address, as an `Outcome`: whose fault it is that nothing came of a visit."""

import errno
import socket
from typing import Final

from devp2p_crawler.model import Outcome

_REFUSED: Final = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED}
_OURS: Final = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOBUFS,
    errno.ENETDOWN,
    errno.EADDRNOTAVAIL,  # no local port is free
    errno.EADDRINUSE,
    errno.EPERM,  # a firewall of our own
}


def outcome_of(error: OSError) -> Outcome:
    """What an error of the system means that came where a node was called, or sent a datagram."""
    if isinstance(error, socket.gaierror):
        return Outcome.OUR_FAULT if error.errno == socket.EAI_AGAIN else Outcome.NO_ADDRESS
    if error.errno in _OURS:
        return Outcome.OUR_FAULT
    if error.errno in _REFUSED:
        return Outcome.REFUSED
    return Outcome.SILENT if error.errno == errno.ETIMEDOUT else Outcome.UNREACHABLE
