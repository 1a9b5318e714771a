"""What a node has when nobody says otherwise."""

import pytest

from devp2p import Address
from devp2p.transports import DEFAULT_LISTEN, TcpTransport, UnixTransport, default_transports, read_address


def test_by_default_there_are_tcp_and_unix_sockets() -> None:
    tcp, unix = default_transports()
    assert isinstance(tcp, TcpTransport)
    assert isinstance(unix, UnixTransport)
    assert DEFAULT_LISTEN.scheme in tcp.schemes


@pytest.mark.parametrize("text", ["127.0.0.1:1", "[::1]:1", "*:0", ":0", "node.example:30303"])
def test_without_a_scheme_an_address_is_of_tcp(text: str) -> None:
    assert read_address(text) == Address.parse(f"tcp://{text}") == read_address(f"tcp://{text}")


def test_with_a_scheme_it_is_read_as_it_is() -> None:
    assert read_address("unix:///run/node.sock") == Address("unix", "/run/node.sock")
    with pytest.raises(ValueError, match="the port is missing"):
        read_address("node.example")
