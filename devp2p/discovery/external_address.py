"""What others see us as (pure): votes on our external endpoint, of which a node's record is made.

discv4, "Pong Packet (0x02)"; discv5 theory, "Maintaining The Local Node Record". Every Pong tells its reader from which address and port
the Ping came. A few liars must not be able to change our record, so an endpoint is believed when at least ten networks name it within five
minutes, and they are more than half of all that named one. A network (`network_of`: an IPv4 /24, an IPv6 /48) has one vote, its latest,
and those of one IPv6 /32, which one owner may have to himself, have two together. What is believed stays until something else is; behind a
NAT that gives us another port towards every peer, nothing ever is. IPv4 and IPv6 are separate polls.
"""

from collections import Counter
from collections.abc import Iterable

from devp2p.addresses import SITE, Endpoint, network_of, scope_fault, unmapped
from devp2p.bounded import Recent

WINDOW = 300.0
"""Seconds for which a vote counts."""
QUORUM = 10
"""Networks that have to agree."""

_PER_OWNER = 2  # votes of one IPv6 /32
_REMEMBERED = 256  # votes of one poll; the oldest are forgotten first


class _Poll:
    """The votes on one of our two endpoints, by network, oldest first."""

    def __init__(self) -> None:
        self.believed: Endpoint | None = None
        self.fixed = False
        self._votes: Recent[bytes, Endpoint] = Recent(_REMEMBERED, WINDOW)

    def vote(self, voter: bytes, endpoint: Endpoint, now: float) -> None:
        self._votes.set(network_of(voter, SITE), endpoint, now)
        if endpoint == self.believed:
            return
        winner, votes, total = self._tally()
        if votes >= QUORUM and 2 * votes > total:
            self.believed = winner

    def forget(self) -> None:
        self.believed = None
        self._votes = Recent(_REMEMBERED, WINDOW)

    def _tally(self) -> tuple[Endpoint, int, int]:
        """The endpoint with most votes, how many it has, and how many there are."""
        owners: Counter[bytes] = Counter()
        votes: Counter[Endpoint] = Counter()
        for network, endpoint in self._votes.items():
            if len(network) > 3:  # an IPv6 network
                owners[network[:4]] += 1
                if owners[network[:4]] > _PER_OWNER:
                    continue
            votes[endpoint] += 1
        winner, most = votes.most_common(1)[0]
        return winner, most, votes.total()


class ExternalAddress:
    """Our endpoints as others see them, one for IPv4 and one for IPv6."""

    def __init__(self, fixed: Iterable[Endpoint] = ()) -> None:
        """Where the user has set an endpoint (`fixed`), no vote is taken on that of the same kind."""
        self._polls = {4: _Poll(), 16: _Poll()}
        for endpoint in fixed:
            poll = self._polls[len(endpoint.ip)]
            poll.believed, poll.fixed = endpoint, True

    @property
    def ipv4(self) -> Endpoint | None:
        """Our endpoint over IPv4, as far as it is known."""
        return self._polls[4].believed

    @property
    def ipv6(self) -> Endpoint | None:
        """Our endpoint over IPv6, as far as it is known."""
        return self._polls[16].believed

    def doubt(self, endpoint: Endpoint) -> None:
        """A router says that we are at an endpoint: what others said before does not count any more, if it was another address."""
        poll = self._polls[len(endpoint.ip)]
        if not poll.fixed and self.contradicts(endpoint):
            poll.forget()

    def contradicts(self, endpoint: Endpoint) -> bool:
        """Whether the user or enough others say that we are at another address."""
        poll = self._polls[len(endpoint.ip)]
        return poll.fixed or (poll.believed is not None and poll.believed.ip != endpoint.ip)

    def vote(self, voter: bytes, endpoint: Endpoint, now: float) -> bool:
        """Take in what the node at the address `voter` says; return whether that changed `ipv4` or `ipv6`.

        Only answers to what we asked of that very address should come here: others could be from anywhere. An address of another kind than
        the voter's does not count, nor one that the voter cannot have seen: a public host sees no private address.
        """
        voter, endpoint = unmapped(voter), Endpoint(unmapped(endpoint.ip), endpoint.port)
        poll = self._polls.get(len(voter))
        if poll is None or poll.fixed or len(endpoint.ip) != len(voter) or not 0 < endpoint.port <= 65535:
            return False
        if scope_fault(voter, endpoint.ip) is not None:
            return False
        before = poll.believed
        poll.vote(voter, endpoint, now)
        return poll.believed != before
