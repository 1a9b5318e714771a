"""The command over WebSockets: certificates, authorities and origins, and what is said of those that do not do."""

import argparse
import signal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from devp2p import Address, NodeRecord, PrivateKey
from devp2p.cli import main, websockets
from devp2p.cli.ping import ping
from devp2p.terminal import Exit, Failure, node_record
from tests.cli.processes import running_node
from tests.transports.authority import certified

NODE = ["node", "--capability", "examples.chat:Chat"]


@pytest.mark.real_clock
async def test_a_node_with_a_certificate_is_called_by_wss_by_those_who_trust_its_authority(tmp_path: Path) -> None:
    files = certified(tmp_path, "127.0.0.1", "::1")
    shown = ("--certificate", str(files.certificate), "--private-key", str(files.private_key))
    listen = ("--listen", "wss://127.0.0.1:0", "--listen", "wss://[::1]:0")
    trusting = websockets.websockets(argparse.Namespace(authorities=str(files.authority)))
    async with running_node(*NODE[1:], *listen, *shown, "--origin", "https://example.org") as program:
        listening = await program.event("listening")
        key = bytes(NodeRecord.parse(listening["enode"]).public_key).hex()
        addresses = [address for address in map(Address.parse, listening["addresses"]) if address.scheme == "wss"]
        assert [address.host for address in addresses] == ["127.0.0.1", "::1"]
        for address in addresses:
            answer = await ping(node_record(f"wss://{key}@{address.where}"), PrivateKey.generate(), timeout=30, extra=trusting)
            assert (answer.status, answer.link and answer.link.transport) == (Exit.OK, "wss"), answer.error
        answer = await ping(node_record(f"wss://{key}@{addresses[0].where}"), PrivateKey.generate(), timeout=30)
        assert answer.status is Exit.FAILED
        assert "is not to be trusted" in answer.error
        status, errors = await program.end(signal.SIGINT)
    assert (status, errors) == (0, "")


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        raise SystemExit(main(arguments))
    assert caught.value.code == Exit.USAGE
    printed = capsys.readouterr()
    assert not printed.out, "it has bound nothing"
    return printed.err


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--listen", "wss://127.0.0.1:0"], "add --certificate FILE and --private-key FILE, or --listen ws://HOST:PORT behind"),
        (["--certificate", "{certificate}"], "--certificate and --private-key go together"),
        (["--private-key", "{key}", "--listen", "wss://127.0.0.1:0"], "--certificate and --private-key go together"),
        (["--certificate", "{certificate}", "--private-key", "{key}"], "are for listening by wss: add --listen wss://HOST:PORT"),
        (["--origin", "https://example.org"], "--origin lets pages connect by ws or wss: add --listen ws://HOST:PORT"),
        (["--origin", "https://example.org/"], "is no origin as browsers write it, such as https://example.org"),
        (["--origin", "example.org"], "is no origin"),
        (["--origin", "https://example.org:443"], "browsers leave out the usual port: write https://example.org"),
        (["--origin", "https://[::1"], "is no origin"),
        (["--certificate", "{certificate}", "--private-key", "{missing}", "--listen", "wss://127.0.0.1:0"], "cannot read {missing}: "),
        (["--certificate", "{missing}", "--private-key", "{key}", "--listen", "wss://127.0.0.1:0"], "cannot read {missing}: "),
        (["--certificate", "{key}", "--private-key", "{key}", "--listen", "wss://127.0.0.1:0"], "are no certificate and its private key"),
        (["--certificate", "{certificate}", "--private-key", "{locked}", "--listen", "wss://127.0.0.1:0"], "{locked} wants a passphrase"),
        (["--certificate", "{certificate}", "--private-key", "{other}", "--listen", "wss://127.0.0.1:0"], "KEY_VALUES_MISMATCH"),
        (["--authorities", "{missing}"], "cannot read {missing}: "),
        (["--authorities", "{key}"], "{key} has no certificates of authorities in PEM"),
    ],
)
def test_what_does_not_do_is_said_before_anything_is_bound(
    argv: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    files, other = certified(tmp_path, "127.0.0.1"), certified(tmp_path / "other", "127.0.0.1")
    key = serialization.load_pem_private_key(files.private_key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    locked.write_bytes(key.private_bytes(*form))
    names = {
        "certificate": files.certificate,
        "key": files.private_key,
        "missing": tmp_path / "missing.pem",
        "locked": locked,
        "other": other.private_key,
    }
    assert problem.format(**names) in " ".join(refused([*NODE, *(one.format(**names) for one in argv)], capsys).split())


def test_who_pings_is_told_of_authorities_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = f"wss://{bytes(PrivateKey.generate().public_key).hex()}@127.0.0.1:1"
    assert "cannot read" in refused(["ping", node, "--authorities", str(tmp_path / "missing.pem")], capsys)


def test_without_the_packages_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websockets, "why_not_installed", lambda _: "needs packages that are not installed: pip install 'trio-devp2p[ws]'")
    with pytest.raises(Failure, match=r"^--authorities needs packages that are not installed: pip install 'trio-devp2p\[ws\]'$"):
        websockets.websockets(argparse.Namespace(authorities="file.pem"))
