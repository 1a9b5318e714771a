"""Status: what we say first, and whether a peer's fits (eth, "Status"; pure).

What ends a session here does so as in go-ethereum, with reason 0x10: a peer of another chain breaks no rule, so it is not 0x02, which would
be held against it. What no peer may say, such as a range of blocks that cannot be, is a breach.
"""

from devp2p import DisconnectReason, RemoteProtocolError
from devp2p.capabilities.eth.messages import BlockRangeUpdate, Status
from devp2p.capabilities.ethereum import Chain
from devp2p.capabilities.ethereum.networks import check_fork_id

_NO_HASH = bytes(32)


def status_of(chain: Chain, version: int) -> Status:
    """Return what we say of our chain as it is now."""
    network, head = chain.network, chain.head
    return Status(
        version=version,
        network_id=network.network_id,
        genesis=network.genesis,
        fork_id=network.fork_id(head.number, head.timestamp),
        earliest=head.earliest,
        latest=head.number,
        latest_hash=head.hash,
    )


def check_status(theirs: Status, ours: Status, chain: Chain) -> None:
    """Raise RemoteProtocolError, which ends the session, if a peer is not of our network, or says what cannot be."""
    if theirs.network_id != ours.network_id:
        raise _unfit(f"its network id is {theirs.network_id}, ours {ours.network_id}")
    if theirs.version != ours.version:
        raise _unfit(f"its Status is of eth/{theirs.version}, and eth/{ours.version} was negotiated")
    if theirs.genesis != ours.genesis:
        raise _unfit(f"its first block is {theirs.genesis.hex()}, ours {ours.genesis.hex()}")
    verdict = check_fork_id(chain.network, chain.head, theirs.fork_id)
    if not verdict.compatible:
        raise _unfit(f"its fork id does not fit: {verdict.why}")
    check_range(theirs)


def check_range(said: Status | BlockRangeUpdate) -> None:
    """Raise RemoteProtocolError for a range of blocks that cannot be."""
    if said.earliest > said.latest:
        raise RemoteProtocolError(f"it has blocks from {said.earliest} to {said.latest}, as it says, which is none")
    if said.latest_hash == _NO_HASH:
        raise RemoteProtocolError("its latest block has a hash of zeros, as it says")


def _unfit(why: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"eth: {why}", reason=DisconnectReason.SUBPROTOCOL_ERROR)
