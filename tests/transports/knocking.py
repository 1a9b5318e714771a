"""A transport of the smallest kind: a word, and its answer, and then the bytes of RLPx."""

import trio

from devp2p import Address, HandshakeError, PublicKey
from devp2p.transports import Connection, Link, OverTcp
from devp2p.transports.tcp import link_of


class Knock(OverTcp):
    """Begins with a word, which is answered."""

    schemes = frozenset({"knock"})
    first_bytes = frozenset(b"k")

    async def initiate(self, connection: Connection, address: Address, expect: PublicKey | None) -> Link:  # noqa: ARG002
        await connection.stream.send_all(b"knock")
        if await connection.stream.receive_some(2) != b"ok":
            raise HandshakeError(f"{address} does not say ok")
        return link_of(connection, initiator=True)

    async def respond(self, connection: Connection) -> Link:
        word = b""
        while len(word) < 5:
            more = await connection.stream.receive_some(5 - len(word))
            if not more:
                raise trio.BrokenResourceError("gone")
            word += more
        if word != b"knock":
            raise HandshakeError("not a knock")
        await connection.stream.send_all(b"ok")
        return link_of(connection, initiator=False)
