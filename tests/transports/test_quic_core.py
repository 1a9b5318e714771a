"""aioquic has what `core.py` uses of it beside its public names, and it does what that is used for."""

import inspect

import pytest
from aioquic import tls
from aioquic.quic.connection import QuicConnection
from aioquic.quic.stream import QuicStreamReceiver, QuicStreamSender

from devp2p import DecodingError, PrivateKey
from devp2p.transports.certificates import NodeCertificate, certificate_for, key_in_chain
from devp2p.transports.quic.core import INNER, STREAMS, UNACCEPTED, WINDOW, Core, configuration_for

SERVER, CLIENT = PrivateKey.generate(), PrivateKey.generate()
A, B = ("127.0.0.1", 1), ("127.0.0.1", 2)


class Pair:
    """A client and a server, between whom datagrams go at once."""

    def __init__(self, *, client_proves: bool = True) -> None:
        self.now = 0.0
        config = configuration_for(certificate_for(CLIENT), is_client=True)
        if not client_proves:
            config.certificate = config.private_key = None
        self.client = Core(config)
        self.client.connect(B, self.now)
        first = self.client.datagrams_to_send(self.now)
        original = first[0][0][6 : 6 + first[0][0][5]]
        self.server = Core(configuration_for(certificate_for(SERVER), is_client=False), original=original)
        for data, _ in first:
            self.server.receive_datagram(data, A, self.now)
        self.run()

    def run(self, times: int = 12) -> None:
        for _ in range(times):
            self.now += 0.01
            for one, other, name in ((self.server, self.client, B), (self.client, self.server, A)):
                if (due := one.get_timer()) is not None and due <= self.now:
                    one.handle_timer(self.now)
                for data, _ in one.datagrams_to_send(self.now):
                    other.receive_datagram(data, name, self.now)


def test_what_is_used_of_aioquic_is_there() -> None:
    own = NodeCertificate(certificate_for(SERVER).certificate, certificate_for(SERVER).key, certificate_for(SERVER).made)
    core = Core(configuration_for(own, is_client=True))
    core.connect(B, 0.0)
    for name in INNER:
        assert hasattr(core, name), f"aioquic has no QuicConnection.{name} any more: core.py must do without"
    context = core.tls
    for name in ("_request_client_certificate", "_peer_certificate", "_peer_certificate_chain", "alpn_negotiated"):
        assert hasattr(context, name) or name == "_peer_certificate_chain", f"aioquic has no tls.Context.{name} any more"
    assert "_peer_certificate_chain" in inspect.getsource(tls.Context._set_peer_certificate)
    sender, receiver = QuicStreamSender(0, writable=True), QuicStreamReceiver(0, readable=True)
    for thing, names in ((sender, "_buffer _buffer_stop _reset_error_code highest_offset is_finished"), (receiver, "_ranges is_finished")):
        assert not [name for name in names.split() if not hasattr(thing, name)]
    assert list(inspect.signature(QuicConnection._write_stream_limits).parameters) == ["self", "builder", "space", "stream"]
    assert list(inspect.signature(QuicConnection._handle_crypto_frame).parameters) == ["self", "context", "frame_type", "buf"]


def test_both_sides_prove_their_keys() -> None:
    pair = Pair()
    assert key_in_chain(pair.client.certificates) == SERVER.public_key
    assert key_in_chain(pair.server.certificates) == CLIENT.public_key
    assert pair.client.alpn == pair.server.alpn == "devp2p/1"


def test_a_client_that_proves_nobody_is_seen() -> None:
    pair = Pair(client_proves=False)
    assert pair.server.certificates == []
    with pytest.raises(DecodingError, match="no certificates"):
        key_in_chain(pair.server.certificates)


def test_a_peer_may_send_as_much_as_it_is_given_and_no_more_until_it_is_read() -> None:
    pair = Pair()
    number = pair.client.begin_stream()
    pair.client.send_stream_data(number, bytes(3 * WINDOW))
    pair.run(300)
    assert pair.server._streams[number].receiver.highest_offset == UNACCEPTED
    assert pair.server.credit(number, UNACCEPTED + 100_000)
    pair.run(300)
    assert pair.server._streams[number].receiver.highest_offset == UNACCEPTED + 100_000
    assert not pair.server.credit(number, UNACCEPTED)


def test_a_peer_may_open_so_many_streams() -> None:
    pair = Pair()
    for _ in range(STREAMS):
        assert pair.client.may_open
        pair.client.send_stream_data(pair.client.begin_stream(), b"x")
    assert not pair.client.may_open
    pair.run()
    assert len(pair.server._streams) == STREAMS
    assert pair.server.end is None
    pair.client._remote_max_streams_bidi += 1
    pair.client.send_stream_data(pair.client.begin_stream(), b"x")
    pair.run()
    assert pair.server.end is not None
