"""``devp2p ping``: call a node, hear what it is, and take leave.

It drives a `Connection` itself instead of opening a session: so it can time each step, and tell a node that refuses from one that is not
there. It offers no capability, and so never begins a session: every node says Hello before it looks at what the other side offers.
"""

import argparse
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from devp2p import wire
from devp2p.addresses import Address
from devp2p.cli.arguments import node_record, seconds
from devp2p.cli.keyfile import read_key
from devp2p.cli.output import Exit, explain, warn, write_fields, write_json, write_text
from devp2p.errors import DisconnectReason, HandshakeError, PeerMismatch, RemoteProtocolError, describe_reason
from devp2p.keys import PrivateKey
from devp2p.limits import Limits
from devp2p.records import NodeRecord
from devp2p.session import CHUNK, NO_ANSWER, close_link
from devp2p.transports import Link, MuxLink, Transport, default_transports
from devp2p.version import default_client_id
from devp2p.wire import base
from devp2p.wire.rlpx import Entropy, Handshake

SUMMARY = "ask a node what it is"
DESCRIPTION = """\
Dial a node, shake hands, and say what its Hello tells: its client, its
capabilities, and how long each step took. No capability has to be shared. The
handshake proves that the node holds the key in its enode.
"""
EPILOG = """\
examples:
  devp2p ping enode://<public key>@203.0.113.5:30303
  devp2p ping --json --timeout 3 unix://<public key>@/run/node.sock

exit codes:
  0  the node said what it is
  1  it could not be reached, or the handshake failed
  2  wrong arguments, or no key where one should be
  3  it is there, but refused: it sent a Disconnect instead of its Hello
"""
_STATUS = {Exit.OK: "ok", Exit.FAILED: "unreachable", Exit.REFUSED: "refused"}
_STEPS = {"connect": "connection", "handshake": "answer to the handshake", "hello": "Hello"}  # in this order, and what is awaited in each


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "node", metavar="ENODE", type=node_record, help="the node: enode://<128 hex digits>@HOST:PORT, or its ENR (enr:...)"
    )
    parser.add_argument("--key", metavar="FILE", help="call as the node with this key (default: a new one for each call)")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, default=10.0, help="how long to wait, from dialling to Hello (default: 10)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, whatever the outcome")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    key = PrivateKey.generate() if options.key is None else read_key(options.key)
    answer = trio.run(partial(ping, options.node, key, timeout=options.timeout))
    if options.json:
        write_json(_as_json(answer))
    else:
        _write(answer)
    return answer.status


@dataclass(slots=True)
class Answer:
    """What came of a call."""

    record: NodeRecord
    address: Address
    """Where it was dialled; the last address tried."""
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    """How long the steps took that were completed: ``connect``, ``handshake`` and ``hello``."""
    hello: base.Hello | None = None
    farewell: int | None = None
    """The reason of the peer's Disconnect, instead of its Hello or after it."""
    error: str = ""
    """What went wrong, if there is neither Hello nor Disconnect."""

    @property
    def status(self) -> Exit:
        """The exit status that says it."""
        if self.hello is not None:
            return Exit.OK
        return Exit.FAILED if self.farewell is None else Exit.REFUSED


async def ping(
    record: NodeRecord,
    key: PrivateKey,
    *,
    timeout: float,  # noqa: ASYNC109  (the answer says what it cut short)
    transports: Sequence[Transport] | None = None,
) -> Answer:
    """Call a node; raises nothing for what the node or the network does. `timeout` is in seconds, up to the peer's Hello."""
    call = _Call(record, key)
    answer = call.answer
    try:
        with trio.fail_after(timeout):
            await call.dial(default_transports() if transports is None else transports, timeout)
            await call.listen()
    except trio.TooSlowError:
        answer.error = f"no {call.awaited} within {timeout:g} s"
    except OSError as error:
        answer.error = explain(error)
    except HandshakeError as error:
        answer.error = f"the handshake failed: {error}"
    except RemoteProtocolError as error:
        answer.error = f"the node broke the rules: {error}"
        await call.take_leave(error.reason)
    except trio.BrokenResourceError:
        answer.error = f"the node hung up before its {call.awaited}"
        if "handshake" not in answer.seconds:
            answer.error += f": {NO_ANSWER}"
    else:
        await call.take_leave(DisconnectReason.CLIENT_QUITTING)
    finally:
        await call.aclose()
    return answer


class _Call:
    """One link to the node, and how far things have come on it."""

    def __init__(self, record: NodeRecord, key: PrivateKey) -> None:
        self.answer = Answer(record, record.addresses[0])
        hello = base.Hello(default_client_id(), (), key.public_key)
        self._opening = wire.Opening(hello, (), Handshake(key, Entropy.draw(os.urandom), remote=record.public_key))
        self._link: Link | None = None
        self._stream: trio.abc.HalfCloseableStream | None = None
        self._since = trio.current_time()

    @property
    def awaited(self) -> str:
        """What has not come yet."""
        return next(what for step, what in _STEPS.items() if step not in self.answer.seconds)

    async def dial(self, transports: Sequence[Transport], timeout: float) -> None:  # noqa: ASYNC109  (it is shared out)
        """Connect, trying each address for which there is a transport in turn, for an equal share of the time.

        OSError or TooSlowError if nobody answers at the last, or there is none.
        """
        addresses = [address for address in self.answer.record.addresses if address.is_dialable]
        ways = [(address, transport) for address in addresses for transport in transports if address.scheme in transport.schemes]
        if not ways:
            raise OSError(f"no transport for {self.answer.address}")
        *before, last = ways
        share = timeout / len(ways)
        for way in before:
            with trio.move_on_after(share), contextlib.suppress(OSError, PeerMismatch):
                await self._dial(*way)
            if self._link is not None:
                break
        else:
            await self._dial(*last)
        assert self._link is not None  # noqa: S101  (the last attempt would have raised)
        self._stream = _only_stream(self._link)
        self._done("connect")

    async def _dial(self, address: Address, transport: Transport) -> None:
        self.answer.address = address
        self._since = trio.current_time()
        self._link = await transport.dial(address, expect=self.answer.record.public_key)

    async def listen(self) -> None:
        """Shake hands and wait for the peer's Hello or Disconnect; raises BrokenResourceError or RemoteProtocolError if there is none."""
        assert self._stream is not None  # noqa: S101  (dial() has returned)
        answer = self.answer
        while answer.hello is None and answer.farewell is None:
            with contextlib.suppress(trio.BrokenResourceError):  # what it said before it hung up can still be read
                await self._stream.send_all(self._opening.data_to_send())
            data = await self._stream.receive_some(CHUNK)
            if not data:
                raise trio.BrokenResourceError
            try:
                self._opening.receive_data(data)
            except RemoteProtocolError:
                self._take_events()
                if answer.hello is None:
                    raise
            else:
                self._take_events()

    async def take_leave(self, reason: DisconnectReason) -> None:
        """Tell the peer why we go, unless it said so first, and give it a moment to close its side; see what it still says."""
        assert self._stream is not None  # noqa: S101  (dial() has returned)
        with trio.move_on_after(Limits().closing_timeout):
            with contextlib.suppress(trio.BrokenResourceError):  # as above
                await self._stream.send_all(self._opening.data_to_send())
                if self.answer.farewell is None and self._opening.connection is not None:
                    await self._stream.send_all(b"".join(self._opening.connection.seal(base.DISCONNECT, base.encode_disconnect(reason))))
                await self._stream.send_eof()
            with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):  # it owes us nothing any more
                while data := await self._stream.receive_some(CHUNK):
                    self._opening.receive_data(data)
                    self._take_events()

    async def aclose(self) -> None:
        """Close the link, if there is one."""
        if self._link is not None:
            await close_link(self._link)

    def _take_events(self) -> None:
        while (event := self._opening.next_event()) is not None:
            match event:
                case wire.HandshakeCompleted():
                    self._done("handshake")
                case wire.HelloReceived(hello):
                    self.answer.hello = hello
                    self._done("hello")
                case wire.DisconnectReceived(reason):
                    self.answer.farewell = reason
                case _:
                    pass

    def _done(self, step: str) -> None:
        now = trio.current_time()
        self.answer.seconds[step] = now - self._since
        self._since = now


def _only_stream(link: Link) -> trio.abc.HalfCloseableStream:
    assert not isinstance(link, MuxLink)  # noqa: S101  (TCP and Unix sockets)
    return link.stream


def _as_json(answer: Answer) -> dict[str, object]:
    record, hello, farewell = answer.record, answer.hello, answer.farewell
    return {
        "status": _STATUS[answer.status],
        "enode": record.enode,
        "public_key": bytes(record.public_key).hex(),
        "id": record.id.hex(),
        "address": str(answer.address),
        "client": None if hello is None else base.printable(hello.client_id),
        "p2p_version": None if hello is None else hello.version,
        "capabilities": None if hello is None else [str(offer) for offer in hello.capabilities],
        "listen_port": None if hello is None else hello.listen_port,
        "seconds": {step: round(answer.seconds[step], 6) if step in answer.seconds else None for step in _STEPS},
        "disconnect": None if farewell is None else {"reason": farewell, "reason_text": describe_reason(farewell)},
        "error": answer.error or None,
    }


def _write(answer: Answer) -> None:
    record, hello, farewell = answer.record, answer.hello, answer.farewell
    if answer.status is Exit.FAILED:
        warn(f"{answer.address}: {answer.error}")
        return
    fields: dict[str, str] = {}
    if hello is None:
        write_text(f"the node is there, but refused us: {describe_reason(farewell or 0)}")
    else:
        fields["client"] = hello.client_id
        fields["p2p version"] = str(hello.version)
        fields["capabilities"] = ", ".join(map(str, hello.capabilities)) or "none"
    fields["node ID"] = record.id.hex()
    fields["address"] = str(answer.address)
    fields["times"] = ", ".join(f"{step} {1000 * taken:.1f} ms" for step, taken in answer.seconds.items())
    if hello is not None and farewell is not None:
        fields["it left with"] = describe_reason(farewell)
    write_fields(fields)
