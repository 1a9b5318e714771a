"""The command over every transport: a node listens by each, says where, and is called there; what is missing is named."""

import json
import signal
from argparse import ArgumentTypeError
from importlib.util import find_spec

import pytest

from devp2p import Address, NodeRecord, PrivateKey, open_node
from devp2p.cli import main
from devp2p.cli.ping import ping, show
from devp2p.terminal import Exit, listen_address, node_record
from devp2p.transports import defaults, known_schemes
from tests.chat import Chat
from tests.cli.processes import running_node
from tests.transports.ways import WAYS

KEY = PrivateKey.generate()
LISTENING = {
    way.name: way
    for way in WAYS
    if way.name in known_schemes() - {"wss"} and way.opening is None and "interop" not in way.marks and len(way.at) > 1
}
"""By which transports a node of the command can listen without more than its arguments, at addresses of IPv4 and IPv6."""


@pytest.mark.real_clock
async def test_a_node_listens_by_all_transports_at_once_and_is_called_by_each(capsys: pytest.CaptureFixture[str]) -> None:
    listen = [part for scheme in LISTENING for host in ("127.0.0.1", "[::1]") for part in ("--listen", f"{scheme}://{host}:0")]
    async with running_node("--capability", "examples.chat:Chat", *listen) as program:
        listening = await program.event("listening")
        addresses = [Address.parse(text) for text in listening["addresses"]]
        wanted = {("tcp", "127.0.0.1"), *((scheme, host) for scheme in LISTENING for host in ("127.0.0.1", "::1"))}
        assert {(address.scheme, address.host) for address in addresses} == wanted
        assert all(address.port for address in addresses)
        public_key = NodeRecord.parse(listening["enode"]).public_key
        for address in addresses:
            text = f"{address.scheme}://{bytes(public_key).hex()}@{address.where}"
            answer = await ping(node_record(text), PrivateKey.generate(), timeout=30)
            assert (answer.status, answer.address) == (Exit.OK, address), answer.error
            capsys.readouterr()
            show(answer, as_json=True)
            told = json.loads(capsys.readouterr().out)
            way = LISTENING.get(address.scheme)
            expected = (False, False) if way is None else (way.native_auth, way.native_mux)
            assert (told["transport"], told["native_auth"], told["native_mux"], told["path"]) == (address.scheme, *expected, "direct")
        status, errors = await program.end(signal.SIGINT)
    assert (status, errors) == (0, "")


@pytest.mark.real_clock
@pytest.mark.parametrize("scheme", LISTENING)
async def test_whoever_is_at_an_address_tells_his_key_where_the_transport_proves_it(
    scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_node(KEY, [Chat()], listen=[f"{scheme}://127.0.0.1:0"], strict=True) as node:
        answer = await ping(node.addresses[0], PrivateKey.generate(), timeout=30)
    if LISTENING[scheme].native_auth:
        assert (answer.status, answer.record and answer.record.public_key) == (Exit.OK, KEY.public_key)
        show(answer, as_json=False)
        assert "proves the peer by itself" in capsys.readouterr().out
    else:
        assert answer.status is Exit.FAILED, "it tells its key to nobody who does not know it"


@pytest.mark.parametrize("scheme", sorted(known_schemes() - {"tcp", "unix"}))
def test_a_transport_that_is_not_installed_is_named_with_its_extra(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = defaults._EXTRAS[scheme]
    if not extra.packages:
        return  # it is always there
    monkeypatch.setattr(defaults, "find_spec", lambda name: None if name in extra.packages else find_spec(name))
    wanted = rf"^{scheme}:// needs packages that are not installed: pip install 'trio-devp2p\[{extra.extra}\]'$"
    with pytest.raises(ArgumentTypeError, match=wanted):
        listen_address(f"{scheme}://127.0.0.1:0")
    with pytest.raises(ArgumentTypeError, match=wanted):
        node_record(f"{scheme}://{bytes(KEY.public_key).hex()}@127.0.0.1:1")


@pytest.mark.parametrize("option", ["--peer", "--trusted", "--listen"])
def test_a_node_may_be_named_by_any_transport(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    named = f"nope://{bytes(KEY.public_key).hex()}@127.0.0.1:1"
    with pytest.raises(SystemExit) as caught:
        main(["node", "--capability", "examples.chat:Chat", option, "nope://127.0.0.1:1" if option == "--listen" else named])
    assert caught.value.code == Exit.USAGE
    assert f"argument {option}: there is no transport 'nope': use " in capsys.readouterr().err
    for scheme in LISTENING:
        assert node_record(named.replace("nope", scheme)).addresses == (Address(scheme, "127.0.0.1", 1),)
        assert listen_address(f"{scheme}://*:1") == Address(scheme, "*", 1)
