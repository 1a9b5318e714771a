"""Node lists in DNS against go-ethereum's ``devp2p dns``: a list that one of us has signed is, to the letter, published alike by both.

Its ``to-txt`` builds the tree again and verifies the signature, so this also says that it would read the tree from DNS. To see it do that
takes a DNS server on port 53 that the machine is configured to ask, which is no thing for a test.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from devp2p.cli import main
from devp2p.discovery.dns.events import LinkFound, PassEnded
from devp2p.keys import PrivateKey, keccak256
from devp2p.terminal.output import Exit
from tests.cli.processes import write_secret
from tests.discovery.zones import DOMAIN, EAGER, KEY, URL, Reading, Zone, records, url
from tests.interop.peers import DEVP2P

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("geth")]

PASSWORD = "pass"


def key_store(key: PrivateKey) -> dict[str, object]:
    """A key in the form that go-ethereum wants for signing: encrypted, with the least possible effort here."""
    salt, iv = bytes(32), bytes(16)
    derived = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=2, r=8, p=1, dklen=32)
    encrypted = Cipher(algorithms.AES(derived[:16]), modes.CTR(iv)).encryptor().update(bytes(key))
    return {
        "version": 3,
        "id": "00000000-0000-4000-8000-000000000000",
        "address": keccak256(bytes(key.public_key))[12:].hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv.hex()},
            "ciphertext": encrypted.hex(),
            "kdf": "scrypt",
            "kdfparams": {"n": 2, "r": 8, "p": 1, "dklen": 32, "salt": salt.hex()},
            "mac": keccak256(derived[16:] + encrypted).hex(),
        },
    }


def go(*argv: object) -> str:
    """Run go-ethereum's command; what it printed."""
    command = [str(DEVP2P), "dns", *map(str, argv)]
    ended = subprocess.run(command, input=f"{PASSWORD}\n", capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def ours(*argv: object) -> None:
    assert main(["dns", *map(str, argv)]) == Exit.OK


@pytest.fixture(params=[0, 1, 13, 14, 170, 200])
def count(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def node_list(tmp_path: Path, count: int) -> Callable[[int], Path]:
    """A list that was not signed yet."""

    def make(links: int) -> Path:
        (tmp_path / "nodes.json").write_text(json.dumps({each.id.hex(): {"seq": 1, "record": each.text} for each in records(count)}))
        info = {"seq": 6, "links": [str(url(f"n{number}.example.org")) for number in range(links)], "lastModified": "2024-01-01T00:00:00Z"}
        (tmp_path / "enrtree-info.json").write_text(json.dumps(info))
        (tmp_path / "key.json").write_text(json.dumps(key_store(KEY)))
        write_secret(tmp_path / "key", bytes(KEY).hex())
        return tmp_path

    return make


def assert_published_alike(directory: Path, count: int, links: int) -> None:
    """Both make the same records of it, from which our reader reads everything."""
    go("to-txt", directory, directory / "theirs.json")
    ours("to-txt", directory, directory / "ours.json")
    texts = json.loads((directory / "theirs.json").read_text())
    assert texts == json.loads((directory / "ours.json").read_text())
    assert " seq=7 " in texts[DOMAIN]
    zone = Zone()
    zone.names = {name: [text] for name, text in texts.items()}
    reading = Reading(zone, limits=replace(EAGER, linked_trees=0)).run()
    assert {each.id for each in reading.found} == {each.id for each in records(count)}
    assert [str(event.target) for event in reading.of(LinkFound)] == json.loads((directory / "enrtree-info.json").read_text())["links"]
    assert len(reading.of(LinkFound)) == links
    assert reading.of(PassEnded)[0].complete


@pytest.mark.parametrize("links", [0, 1, 3, 20])
def test_go_ethereum_accepts_what_we_signed(node_list, count, links):
    directory = node_list(links)
    ours("sign", directory, "--key", directory / "key", "--domain", DOMAIN)
    assert_published_alike(directory, count, links)


@pytest.mark.parametrize("links", [0, 1])  # go-ethereum writes several links in any order, and may then refuse them itself
def test_we_accept_what_go_ethereum_signed(node_list, count, links):
    directory = node_list(links)
    go("sign", "--domain", DOMAIN, directory, directory / "key.json")
    assert json.loads((directory / "enrtree-info.json").read_text())["url"] == str(URL)
    assert_published_alike(directory, count, links)


def test_go_ethereum_refuses_what_was_changed_after_we_signed_it(node_list, count):
    """What the tests above rest on."""
    directory = node_list(2)
    ours("sign", directory, "--key", directory / "key", "--domain", DOMAIN)
    assert_published_alike(directory, count, 2)
    info = json.loads((directory / "enrtree-info.json").read_text())
    (directory / "enrtree-info.json").write_text(json.dumps(info | {"seq": 8}))
    ended = subprocess.run([str(DEVP2P), "dns", "to-txt", str(directory)], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode != 0
    assert "invalid signature" in ended.stderr
