"""Genesis files: the first block of a network, made of a file as go-ethereum makes it."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.capabilities.ethereum.blocks import Header
from devp2p.capabilities.ethereum.networks import NETWORKS, Genesis, GenesisAccount, load_genesis

CASES = {case["name"]: case for case in json.loads((Path(__file__).parents[2] / "vectors" / "genesis.json").read_text())["cases"]}
FORMS = CASES["numbers and bytes in every form"]["genesis"]
ADDRESS = "0x00000000000000000000000000000000000000aa"


def parse(genesis: Any, **options: Any) -> Genesis:
    return Genesis.parse(json.dumps(genesis), **options)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_first_block_is_as_go_ethereum_makes_it(case):
    genesis = parse(case["genesis"])
    assert genesis.header.raw.hex() == case["header"]
    assert genesis.header == Header.decode(genesis.header.raw)
    assert genesis.hash.hex() == genesis.network.genesis.hex() == genesis.header.hash.hex() == case["hash"]
    fork_id = genesis.network.fork_id(0, genesis.header.timestamp)
    assert (fork_id.hash.hex(), fork_id.next) == (case["fork_hash"], case["fork_next"])


def test_a_public_network_by_its_file_is_its_preset():
    assert parse(CASES["sepolia"]["genesis"]).network == NETWORKS["sepolia"]


def test_a_file_is_read_whole(tmp_path):
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(FORMS))
    genesis = load_genesis(path)
    assert genesis.accounts == {
        bytes.fromhex(ADDRESS[2:]): GenesisAccount(0, 10**18),
        bytes(19) + b"\xbb": GenesisAccount(5, 12),
        b"\xcc" * 20: GenesisAccount(
            0,
            255,
            b"\x60\x01",
            {bytes(31) + b"\1": bytes(31) + b"\2", bytes(31) + b"\5": b"\xff" * 32},  # a slot of zero is none
        ),
    }
    assert (genesis.network.network_id, genesis.network.chain_id, genesis.network.upgrades["london"]) == (1337, 1337, 5)
    assert load_genesis(path, network_id=9).network.network_id == 9


def test_the_leaves_of_the_state_are_in_order_and_have_its_roots():
    """They are what a chain stores and serves."""
    genesis = parse(CASES["sepolia"]["genesis"])
    keys = [key for key, _ in genesis.leaves]
    assert keys == sorted(keys)
    assert len(keys) == len(genesis.accounts)


def test_upgrades_that_are_not_known_are_named():
    """A fork id without them may be wrong, so who runs a node wants to hear of them."""
    genesis = deepcopy(FORMS)
    genesis["config"] |= {"zugTime": 5, "mergeBlock": 7, "bogotaTime": None, "terminalTotalDifficulty": 5, "timeless": 1}
    assert parse(genesis).unknown_upgrades == ("zugTime", "mergeBlock")
    assert "bogota" not in parse(genesis).network.upgrades


NO_NUMBER = 'is no whole number: write one such as 4096, "4096" or "0x1000"'
NO_BLOBS = "the first block has none, since Cancun is not active in it: leave it out, or set config.cancunTime to 0"
WRONG: list[tuple[tuple[str, ...], Any, str]] = [
    (("gasLimit",), None, "gasLimit: it is missing"),
    (("difficulty",), None, "difficulty: it is missing"),
    (("number",), "0x5", "number: 5 is not the number of a first block, which is 0: leave it out"),
    (("alloc",), None, "alloc: it is missing"),
    (("config",), None, "config: it is missing"),
    (("config", "chainId"), None, "config.chainId: it is missing"),
    (("config",), [], "config: [] is not an object, {...}"),
    (("alloc",), 5, "alloc: 5 is not an object, {...}"),
    (("nonce",), 1.5, f"nonce: 1.5 {NO_NUMBER}"),
    (("nonce",), "0xzz", f'nonce: "0xzz" {NO_NUMBER}'),
    (("nonce",), True, f"nonce: true {NO_NUMBER}"),
    (("timestamp",), "-0x5", f'timestamp: "-0x5" {NO_NUMBER}'),
    (("timestamp",), -5, "timestamp: -5 is out of range: it is at least 0 and has at most 64 bits"),
    (("gasLimit",), 2**64, "gasLimit: 18446744073709551616 is out of range: it is at least 0 and has at most 64 bits"),
    (("difficulty",), "9" * 5000, f'difficulty: "{"9" * 36}... {NO_NUMBER}'),
    (("config", "cancunTime"), "soon", f'config.cancunTime: "soon" {NO_NUMBER}'),
    (("config", "blobSchedule"), {"cancun": {}}, "config.blobSchedule.cancun.target: it is missing"),
    (("mixHash",), "0x1234", 'mixHash: "0x1234" is not 0x and 64 hexadecimal digits'),
    (("coinbase",), "cc" * 20, f'coinbase: "{"cc" * 18}... is not 0x and 40 hexadecimal digits'),
    (("extraData",), 5, 'extraData: 5 is not text: write "0x" and hexadecimal digits'),
    (("extraData",), "0x 12", 'extraData: "0x 12" is not 0x and hexadecimal digits'),
    (
        ("excessBlobGas",),
        1,
        "excessBlobGas: the first block has none, since Cancun is not active in it: leave it out, or set config.cancunTime to 0",
    ),
    (("alloc", "0xaa"), {"balance": "1"}, 'alloc.0xaa: the address: "0xaa" is not 40 hexadecimal digits'),
    (("alloc", ADDRESS.upper()[2:]), {"balance": "1"}, f"alloc.{ADDRESS.upper()[2:]}: this address is there twice"),
    (("alloc", ADDRESS, "balance"), None, f"alloc.{ADDRESS}.balance: it is missing"),
    (
        ("alloc", ADDRESS, "balance"),
        "lots",
        f'alloc.{ADDRESS}.balance: "lots" is no whole number: write one such as 4096, "4096" or "0x1000"',
    ),
    (("alloc", ADDRESS, "code"), "6001", f'alloc.{ADDRESS}.code: "6001" is not 0x and hexadecimal digits'),
    (("alloc", ADDRESS, "storage"), [1], f"alloc.{ADDRESS}.storage: [1] is not an object, {{...}}"),
    (("alloc", ADDRESS, "storage"), {"0x1": "0x01"}, f'alloc.{ADDRESS}.storage: a key: "0x1" is not hexadecimal digits'),
    (("alloc", ADDRESS, "storage"), {"01": "0x" + "00" * 33}, f'alloc.{ADDRESS}.storage.01: "0x{"0" * 34}... has more than 32 bytes'),
]


@pytest.mark.parametrize(("way", "value", "complaint"), WRONG, ids=[".".join(way)[:30] + f" {value!r:.12}" for way, value, _ in WRONG])
def test_a_complaint_names_the_key(way, value, complaint):
    genesis = deepcopy(FORMS)
    place = genesis
    for key in way[:-1]:
        place = place[key]
    if value is None:
        del place[way[-1]]
    else:
        place[way[-1]] = value
    with pytest.raises(ValueError, match=r"^genesis\.json: ") as caught:
        parse(genesis)
    assert str(caught.value) == f"genesis.json: {complaint}"


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe\xfa", "[" * 100_000, "5", '{"a": ' + "9" * 5000 + "}"], ids=repr)
def test_what_is_no_json_object(text):
    with pytest.raises(ValueError, match=r"^mine\.json: .*(is not JSON|is not an object)"):
        Genesis.parse(text, "mine.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
KEYS = [("alloc",), ("config",), ("nonce",), ("extraData",), ("config", "blobSchedule"), ("config", "pragueTime"), ("alloc", ADDRESS)]


@settings(max_examples=60)
@given(st.sampled_from(KEYS), JSON)
def test_whatever_a_file_says_it_is_read_or_complained_of(way, value):
    genesis = deepcopy(FORMS)
    place = genesis
    for key in way[:-1]:
        place = place[key]
    place[way[-1]] = value
    try:
        fault = "" if parse(genesis).hash else "no hash"
    except ValueError as error:
        fault = str(error)
    assert not fault or fault.startswith("genesis.json: ")
