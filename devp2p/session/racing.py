"""A race of dials to the addresses of one node (RFC 8305, section 5).

The next one begins when one has failed, or a quarter of a second after the last. The first link that stands is the result, and what else
has begun is given up: cancelled, or closed if it stood in the same moment.
"""

import logging
from collections.abc import Iterable
from typing import NamedTuple

import trio

from devp2p.addresses import Address
from devp2p.errors import HandshakeError
from devp2p.keys import PublicKey
from devp2p.session.opening import close_link
from devp2p.session.progress import Progress
from devp2p.transports import Carriers, Link, facts_of, first_of, in_order

_logger = logging.getLogger(__name__)


class _Dialled(NamedTuple):
    """An address that led there."""

    address: Address
    link: Link
    seconds: float


class Race:
    """Dials the addresses of one node until one of them leads there."""

    def __init__(  # noqa: PLR0913  (the node, the means, and the time)
        self,
        carriers: Carriers,
        addresses: Iterable[Address],
        expect: PublicKey | None,
        progress: Progress,
        *,
        timeout: float,
        each: float,
    ) -> None:
        self._carriers = carriers
        self._addresses = tuple(dict.fromkeys(addresses))
        self._expect = expect
        self._progress = progress
        self._each = each
        self._deadline = trio.current_time() + timeout
        self._failures: dict[Address, Exception] = {}

    async def run(self) -> Link | None:
        """The link, or None if no address led there: `Progress.failures` then has each, in the order in which they were given."""
        addresses = [address for address in in_order(self._addresses) if self._can_dial(address)]
        first = await first_of(addresses, self._dial, lambda dialled: close_link(dialled.link))
        for address in self._addresses:
            if address in self._failures:
                self._progress.failures[address] = self._failures[address]
        if first is None:
            return None
        self._progress.connected(first.address, facts_of(first.link), first.seconds)
        return first.link

    def _can_dial(self, address: Address) -> bool:
        try:
            self._carriers.transport(address)
            if not address.is_dialable:
                raise ValueError("port 0 says that the node does not take connections")
        except ValueError as error:
            self._failures[address] = error
            return False
        return True

    async def _dial(self, address: Address) -> _Dialled | None:
        began = trio.current_time()
        within = max(0.0, min(self._each, self._deadline - began))
        self._progress.address = address
        self._progress.begin("connect")
        try:
            with trio.fail_after(within):
                link = await self._carriers.transport(address).dial(address, expect=self._expect)
        except trio.TooSlowError:
            self._failures[address] = trio.TooSlowError(f"within {within:g} s")
        except (OSError, ValueError, HandshakeError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._failures[address] = error
        except Exception as error:  # a fault of this transport: another may lead there
            _logger.exception("to dial %s failed within the transport", address)
            self._failures[address] = error
        else:
            return _Dialled(address, link, trio.current_time() - began)
        return None
