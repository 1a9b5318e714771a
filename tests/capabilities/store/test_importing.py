"""What comes into a chain file: all that fits, once; of what does not fit nothing, and the error names file, block and reason."""

import gzip
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devp2p import rlp
from devp2p.capabilities.ethereum.blocks import Block, Body
from devp2p.capabilities.ethereum.networks import Genesis
from devp2p.capabilities.ethereum.store import Importer, Misfit, StoreError, importing
from tests.capabilities.chains import CONTRACT, BuiltBlock, build_chain

CHAIN = build_chain(9, 2)
OLDER = build_chain(3, 2, fork="london")
THIRD = CHAIN.blocks[3]
BEFORE = CHAIN.chain_file()[: sum(len(block.raw) for block in CHAIN.blocks[1:3])]
"""Blocks 1 and 2, as a file has them."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Chain files with the first block, and with all blocks: to make one for each test takes longer than most tests."""
    directory = tmp_path_factory.mktemp("made")
    (directory / "chain.rlp").write_bytes(CHAIN.chain_file())
    for name in ("first.db", "full.db"):
        with Importer.open(directory / name, CHAIN.genesis) as importer:
            if name == "full.db":
                importer.blocks(directory / "chain.rlp")
    return directory / "first.db", directory / "full.db"


@pytest.fixture
def importer(made: tuple[Path, Path], tmp_path: Path) -> Iterator[Importer]:
    with Importer.open(shutil.copy(made[0], tmp_path / "chain.db")) as opened:
        yield opened


@pytest.fixture
def full(made: tuple[Path, Path], tmp_path: Path) -> Iterator[Importer]:
    """With all blocks."""
    with Importer.open(shutil.copy(made[1], tmp_path / "chain.db")) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes | str], Path]:
    def write(content: bytes | str) -> Path:
        path = tmp_path / "file"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def everything(path: Path) -> list[str]:
    """All that is in a chain file."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def head(importer: Importer) -> int:
    return importer.contents().head.number


def misfit(told: str, path: Path) -> Any:
    """An error that begins with the file, and says this."""
    return pytest.raises(Misfit, match=f"^{re.escape(str(path))}: .*{re.escape(told)}")


# ------------------------------------------------------------------------------------------------------------------ what fits


def test_importing_again_changes_nothing(tmp_path: Path):
    path = CHAIN.store(tmp_path, states=(0, 4, -1))
    before = everything(path)
    assert CHAIN.store(tmp_path, states=(0, 4, -1)) == path
    assert everything(path) == before


@pytest.mark.parametrize("batch", [1, 1500, importing.BATCH])
def test_the_size_of_batches_makes_no_difference(
    importer: Importer, file: Callable[[bytes], Path], batch: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importing, "BATCH", batch)
    assert importer.blocks(file(CHAIN.chain_file())) == 9
    assert importer.receipts(file(CHAIN.receipts_file())) == 9
    contents = importer.contents()
    assert (contents.head, contents.earliest, contents.blocks) == (CHAIN.head.header, 0, 10)


def test_an_import_goes_on_where_another_has_ended(importer: Importer, file: Callable[[bytes], Path]):
    assert importer.blocks(file(BEFORE)) == 2
    assert importer.blocks(file(CHAIN.chain_file(first=0))) == 7  # the genesis block in it is passed over
    assert importer.receipts(file(CHAIN.receipts_file(first=5))) == 5
    assert importer.receipts(file(CHAIN.receipts_file(first=0))) == 4
    assert importer.contents().earliest == 0


def test_compressed_files_are_read(importer: Importer, file: Callable[[bytes], Path]):
    assert importer.blocks(file(gzip.compress(CHAIN.chain_file()))) == 9
    assert importer.receipts(file(gzip.compress(CHAIN.receipts_file()))) == 9
    assert importer.access_lists(file(gzip.compress(CHAIN.access_lists_file()))) == 9
    assert importer.state(9, file(gzip.compress(CHAIN.dump().encode())))


def test_blocks_of_other_forks_have_other_parts(tmp_path: Path, file: Callable[[bytes], Path]):
    with Importer.open(tmp_path / "london.db", OLDER.genesis) as importer:
        assert importer.blocks(file(OLDER.chain_file())) == 3
        assert importer.receipts(file(OLDER.receipts_file())) == 3


def test_geth_writes_access_lists_into_blocks(importer: Importer, file: Callable[[bytes], Path]):
    """As `geth export` of v1.17.8 does."""
    blocks = [Block(block.header, block.body, block.access_list).raw for block in CHAIN.blocks[1:]]
    importer.blocks(file(CHAIN.chain_file()[: len(CHAIN.blocks[1].raw)]))
    assert importer.blocks(file(b"".join(blocks))) == 9  # of the first, the access list is new
    assert importer.contents().access_lists == 9
    assert importer.access_lists(file(CHAIN.access_lists_file())) == 0


def test_a_branch_is_kept_beside_the_chain_until_it_is_higher(full: Importer, file: Callable[[bytes], Path]):
    branch = CHAIN.branch(6, 5)
    lower, higher = (b"".join(block.raw for block in branch.blocks[of]) for of in (slice(7, 10), slice(10, 12)))
    assert full.blocks(file(lower)) == 3
    assert (full.contents().head, full.contents().beside) == (CHAIN.head.header, 3)
    assert full.blocks(file(higher)) == 2
    assert (full.contents().head, full.contents().beside) == (branch.head.header, 3)
    assert full.blocks(file(CHAIN.chain_file())) == 0
    assert full.contents().head == branch.head.header  # what is not new moves no head


def test_an_access_list_may_come_with_the_header_of_a_block_that_is_not_known(full: Importer, file: Callable[[bytes], Path]):
    branch = CHAIN.branch(6, 5)
    lists = file(branch.access_lists_file(7, with_headers=True))
    assert full.access_lists(lists) == 5
    assert full.access_lists(lists) == 0
    assert (full.contents().access_lists, full.contents().beside, head(full)) == (5, 5, 9)
    assert full.blocks(file(b"".join(block.raw for block in branch.blocks[7:]))) == 5
    assert (full.contents().beside, head(full)) == (3, 11)
    with misfit("its parent", file(b"".join(block.raw for block in CHAIN.branch(8, 3).blocks[10:]))) as told:
        full.access_lists(file(CHAIN.branch(8, 3).access_lists_file(9, with_headers=True)))
        full.blocks(file(b"".join(block.raw for block in CHAIN.branch(8, 3).blocks[10:])))
    assert told.value


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("hashed", [False, True])
def test_dumps_of_all_forms_make_the_same_state(full: Importer, file: Callable[[str], Path], lines: bool, hashed: bool):  # noqa: FBT001
    assert full.state(9, file(CHAIN.dump(lines=lines, hashed=hashed)))
    assert not full.state(CHAIN.head.hash, file("anything"))
    newest = full.contents().states[0]
    state = CHAIN.head.state
    assert (newest.number, newest.root) == (9, CHAIN.head.header.state_root)
    assert (newest.accounts, newest.slots) == (len(state), sum(len(holding.storage) for holding in state.values()))


def test_a_dump_may_lack_addresses_and_its_root(full: Importer, file: Callable[[bytes | str], Path]):
    accounts = {f"pre({account['key']})": without(account, "address") for account in dumped()["accounts"].values()}
    assert full.state(9, file(json.dumps({"accounts": accounts})))


def test_a_newer_genesis_file_of_the_same_chain_brings_its_forks(tmp_path: Path):
    path = OLDER.store(tmp_path)
    fields = json.loads(OLDER.genesis_json)
    fields["config"]["shanghaiTime"] = 1000
    with Importer.open(path, Genesis.parse(json.dumps(fields))) as importer:
        assert importer.contents().network.times == (1000,)
    with Importer.open(path) as importer:
        assert importer.contents().network.times == (1000,)


def test_a_state_of_two_blocks_is_that_of_the_newer(tmp_path: Path):
    quiet = build_chain(3, 0, fork="london")
    same = replace(quiet.head.header, parent_hash=quiet.head.hash, number=4, timestamp=99)
    (tmp_path / "more.rlp").write_bytes(Block(same, quiet.head.body).raw)
    with Importer.open(quiet.store(tmp_path)) as importer:
        importer.blocks(tmp_path / "more.rlp")
        assert importer.contents().states[0].number == 3
        assert not importer.state(4, tmp_path / "more.rlp")
        assert importer.contents().states[0].number == 4


# ---------------------------------------------------------------------------------------------------------- blocks that do not fit


def changed(block: BuiltBlock, **fields: Any) -> bytes:
    return Block(replace(block.header, **fields), block.body).raw


def with_body(block: BuiltBlock, **parts: Any) -> bytes:
    return Block(block.header, replace(Body(block.body.transactions, block.body.ommers, block.body.withdrawals), **parts)).raw


@pytest.mark.parametrize(
    ("third", "told"),
    [
        (CHAIN.blocks[4].raw, f"block 4 (0x{CHAIN.blocks[4].hash.hex()}): its parent 0x{THIRD.hash.hex()} is not in"),
        (changed(THIRD, number=5), "its parent is block 2, so that its number should be 3"),
        (changed(THIRD, number=0), "is the first of another network"),
        (OLDER.blocks[0].raw, f"block 0 (0x{OLDER.genesis.hash.hex()}) is the first of another network: the one in"),
        (with_body(THIRD, transactions=THIRD.body.transactions[:1]), f"block 3 (0x{THIRD.hash.hex()}): its transactions"),
        (with_body(THIRD, transactions=THIRD.body.transactions[::-1]), "transactions"),
        (with_body(THIRD, withdrawals=()), "withdrawals"),
        (with_body(THIRD, withdrawals=None), "withdrawals"),
        (with_body(THIRD, ommers=(THIRD.header.raw,)), "ommers"),
        (Block(THIRD.header, THIRD.body, CHAIN.blocks[4].access_list).raw, "access list"),
        (THIRD.raw[:-1], "byte "),
        (THIRD.raw[:1], "byte "),
        (b"\x83abc", "byte "),
        (b"\xfb\xff\xff\xff\xff", "byte "),
        (rlp.encode([THIRD.header.raw]), "byte "),
        (b"\xc1\xc0", "byte "),
    ],
)
def test_a_block_that_does_not_fit_ends_the_import_and_what_came_before_stays(
    importer: Importer, file: Callable[[bytes], Path], third: bytes, told: str
):
    path = file(BEFORE + third)
    with misfit(told, path) as error:
        importer.blocks(path)
    assert "(2 items before it are in " in str(error.value)
    assert importer.contents().head == CHAIN.blocks[2].header
    assert importer.blocks(file(CHAIN.chain_file())) == 7


def test_a_wrong_access_list_in_a_known_block_is_told_as_well(full: Importer, file: Callable[[bytes], Path]):
    path = file(Block(THIRD.header, THIRD.body, CHAIN.blocks[4].access_list).raw)
    with misfit("its access list has another hash", path):
        full.blocks(path)


@pytest.mark.parametrize("cut", [-1, -9, 40])
def test_damaged_compression_is_told(importer: Importer, file: Callable[[bytes], Path], cut: int):
    packed = gzip.compress(CHAIN.chain_file() * 3)
    path = file(packed[:cut])
    with misfit("its compression is damaged", path):
        importer.blocks(path)
    path = file(packed[:30] + b"\xff" * 30 + packed[60:])
    with misfit("", path):
        importer.blocks(path)


def test_a_file_that_cannot_be_read_is_told(importer: Importer, tmp_path: Path):
    with pytest.raises(StoreError, match=r"cannot read .*nothing: No such file"):
        importer.blocks(tmp_path / "nothing")
    with pytest.raises(StoreError, match=r"cannot read .*: Is a directory"):
        importer.receipts(tmp_path)


def test_a_chain_file_keeps_its_first_block(tmp_path: Path):
    path = CHAIN.store(tmp_path)
    told = f"another genesis block, 0x{CHAIN.genesis.hash.hex()}, not 0x{OLDER.genesis.hash.hex()}"
    with pytest.raises(StoreError, match=told):
        Importer.open(path, OLDER.genesis)


# ------------------------------------------------------------------------------------------- receipts and access lists that do not fit


def of_block(block: BuiltBlock, content: bytes) -> bytes:
    return rlp.encode_list(rlp.encode(block.hash) + content)


RECEIPTS = rlp.encode_list(b"".join(THIRD.receipts))


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (of_block(CHAIN.blocks[4], RECEIPTS), f"block 4 (0x{CHAIN.blocks[4].hash.hex()}): its receipts have another root"),
        (of_block(THIRD, rlp.encode_list(THIRD.receipts[0])), "its receipts have another root"),
        (of_block(THIRD, rlp.encode_list(THIRD.receipts[0] + b"\x01")), f"block 3 (0x{THIRD.hash.hex()}): "),
        (of_block(THIRD, b"\x01"), f"block 3 (0x{THIRD.hash.hex()}): "),
        (of_block(OLDER.blocks[1], RECEIPTS), f"block 0x{OLDER.blocks[1].hash.hex()} is not in"),
        (rlp.encode([b"short", []]), "byte 0: the hash of a block has 32 bytes, not 5"),
        (rlp.encode([THIRD.hash]), "byte 0: a list of a block's hash and what belongs to it is expected, not one of 1 items"),
        (b"\xc0", "byte 0: "),
        (THIRD.hash, "byte 0: "),
    ],
)
def test_receipts_that_do_not_fit_are_not_kept(full: Importer, file: Callable[[bytes], Path], item: bytes, told: str):
    before = full.contents().receipts
    path = file(item)
    with misfit(told, path):
        full.receipts(path)
    assert full.contents().receipts == before


@pytest.mark.parametrize("with_headers", [False, True])
def test_access_lists_that_do_not_fit_are_not_kept(full: Importer, file: Callable[[bytes], Path], with_headers: bool):  # noqa: FBT001
    other = CHAIN.blocks[4].access_list
    assert other is not None
    first = THIRD.header.raw if with_headers else rlp.encode(THIRD.hash)
    path = file(rlp.encode_list(first + other))
    with misfit(f"block 3 (0x{THIRD.hash.hex()}): its access list has another hash", path):
        full.access_lists(path)
    path = file(rlp.encode_list(OLDER.blocks[1].header.raw + other))
    with misfit("its header has no hash of one", path):
        full.access_lists(path)
    assert full.contents().access_lists == 0
    assert full.contents().beside == 0


# ---------------------------------------------------------------------------------------------------------- states that do not fit


def dumped() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CHAIN.dump())
    return found


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def contract_with(**fields: Any) -> str:
    """The dump with another contract; None removes a field."""
    dump = dumped()
    account = dump["accounts"][f"0x{CONTRACT.hex()}"]
    account.update(fields)
    dump["accounts"][f"0x{CONTRACT.hex()}"] = {name: value for name, value in account.items() if value is not None}
    return json.dumps(dump)


STORAGE = dumped()["accounts"][f"0x{CONTRACT.hex()}"]["storage"]
AT = f"account 0x{CONTRACT.hex()}: "


@pytest.mark.parametrize(
    ("dump", "told"),
    [
        (CHAIN.dump(4), f"the dump says the root 0x{CHAIN.blocks[4].header.state_root.hex()}, and the block 0x"),
        (json.dumps({**json.loads(CHAIN.dump(4)), "root": dumped()["root"]}), "accounts have the state root 0x"),
        (json.dumps({**dumped(), "accounts": dict(list(dumped()["accounts"].items())[1:])}), "accounts have the state root 0x"),
        (json.dumps({**dumped(), "accounts": {}}), "its 0 accounts have the state root 0x"),
        (contract_with(balance="7"), "accounts have the state root 0x"),
        (contract_with(nonce=7), "accounts have the state root 0x"),
        (contract_with(storage=None), f"{AT}its storage, whose root is 0x"),
        (contract_with(storage=dict(list(STORAGE.items())[1:])), f"{AT}its {len(STORAGE) - 1} slots do not have the storage root"),
        (contract_with(storage={**STORAGE, f"0x{7:064x}": "00"}), f"{AT}slot 0x{7:064x} has 0 bytes"),
        (contract_with(storage={**STORAGE, "0x07": "01"}), f"{AT}a slot of the storage is 32 bytes in hexadecimal, not '0x07'"),
        (contract_with(storage=[]), f"{AT}its storage, whose root is 0x"),
        (contract_with(storage=[1]), f"{AT}storage is an object, not [1]"),
        (contract_with(code="0x00"), "its code has the hash 0x"),
        (contract_with(code=None, codeHash=f"0x{'ab' * 32}"), f"its code, 0x{'ab' * 32}, is missing: dump it without --nocode"),
        (contract_with(code=None, codeHash=None), f"{AT}codeHash is 32 bytes in hexadecimal, not None"),
        (contract_with(root="0x12"), f"{AT}root is 32 bytes in hexadecimal, not '0x12'"),
        (contract_with(key=f"0x{'ab' * 32}"), f"{AT}key 0x{'ab' * 32} is not the keccak of the address"),
        (contract_with(nonce=-1), f"{AT}nonce is a number from 0 to {2**64 - 1}, not -1"),
        (contract_with(nonce=2**64), f"{AT}nonce is a number"),
        (contract_with(nonce=True), f"{AT}nonce is a number"),
        (contract_with(balance="much"), f"{AT}balance is a number"),
        (contract_with(balance=None), f"{AT}balance is a number"),
        (contract_with(balance="9" * 5000), f"{AT}balance is a number"),
        (json.dumps({**dumped(), "next": "0x12"}), "the dump is a part of a state (it has `next`)"),
        (CHAIN.dump(lines=True) + CHAIN.dump(lines=True).splitlines()[-1], "comes twice"),
        (CHAIN.dump(lines=True) + "[]", "an object is expected, not []"),
        (CHAIN.dump()[:-30], "character "),
        (CHAIN.dump()[:-1], "a dump is one object"),
        (CHAIN.dump() + "x", "nothing comes behind a dump"),
        ('{"root": ' + "9" * 5000 + "}", "character "),
        ('{"root": ' + "[" * 100_000, "character "),
        ('{"accounts": {"0x12" 5', "a value comes behind its name"),
        ("{5: 5}", "a name is expected, not 5"),
        ('{"what": 5}', "'what' where a dump has its root"),
        ("", "a dump begins with {"),
        ("{}", "an empty object"),
    ],
)
def test_a_state_that_does_not_fit_is_not_kept(full: Importer, file: Callable[[bytes | str], Path], dump: str, told: str):
    before = everything(Path(full._database.path))
    path = file(dump)
    with misfit(told, path) as error:
        full.state(9, path)
    assert f"state of block 9 (0x{CHAIN.head.hash.hex()}): " in str(error.value)
    assert everything(Path(full._database.path)) == before


def test_a_state_is_of_a_known_block(importer: Importer, file: Callable[[str], Path]):
    with pytest.raises(Misfit, match="has no block 9: its chain ends with block 0"):
        importer.state(9, file(CHAIN.dump()))
    with pytest.raises(Misfit, match=f"has no block 0x{'ab' * 32}"):
        importer.state(b"\xab" * 32, file(CHAIN.dump()))
