"""`devp2p fetch`: what nodes have comes out in each format, what they lie about does not, and a kill loses nothing."""

import csv
import importlib
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

import devp2p
from devp2p import rlp
from devp2p.capabilities.backfill import BackfillError, Filled, Journal, Order
from devp2p.capabilities.eth import eth
from devp2p.capabilities.ethereum import Chain, Head, Network
from devp2p.capabilities.ethereum.blocks import Block, Body, Transaction, address_of, transactions_root
from devp2p.cli import main
from devp2p.cli.fetch import _newest, _write_out
from devp2p.cli.fetching import KINDS, writers
from devp2p.terminal.output import Failure
from tests.capabilities.chains import build_chain
from tests.cli.processes import PATIENCE

CHAIN = build_chain(12, 3)
parquet: Any = importlib.import_module("pyarrow.parquet")  # without types
LAST = CHAIN.head.header.number


class Lagging:
    """Another chain, of which bodies are held back for some blocks, as a slow disk would; a real chain stands behind it."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self.held: set[bytes] = set()
        self.asked = 0

    @property
    def network(self) -> Network:
        return self._chain.network

    @property
    def head(self) -> Head:
        return self._chain.head

    async def headers(self, start: int | bytes, count: int, *, skip: int, reverse: bool, size: int) -> Sequence[bytes]:
        return await self._chain.headers(start, count, skip=skip, reverse=reverse, size=size)

    async def bodies(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes]:
        there = [one for one in hashes if one not in self.held]
        if not there:
            await trio.sleep_forever()
        self.asked += len(there)
        return await self._chain.bodies(there, size=size)

    async def receipts(self, hashes: Sequence[bytes], *, size: int) -> Sequence[Sequence[bytes]]:
        return await self._chain.receipts(hashes, size=size)

    async def access_lists(self, hashes: Sequence[bytes], *, size: int) -> Sequence[bytes | None]:
        return await self._chain.access_lists(hashes, size=size)


class Served:
    """Two nodes in a thread of their own that have the chain, or one that has a branch of it."""

    def __init__(self, directory: Path) -> None:
        files = CHAIN.write(directory)
        self.genesis = str(files.genesis)
        (directory / "branch").mkdir()
        branch = CHAIN.branch(6, LAST - 6)
        self._files = (CHAIN.open(directory), branch.open(directory / "branch"))
        self.lagging = Lagging(self._files[0])
        self.enodes: list[str] = []
        self._ready, self._over = threading.Event(), trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._serve, (self._files[0], self.lagging, self._files[1])))
        self._thread.start()
        self._ready.wait()

    async def _serve(self, chains: Sequence[Chain]) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            for chain in chains:
                self.enodes.append(await nursery.start(self._node, chain))
            self._ready.set()
            await self._over.wait()
            nursery.cancel_scope.cancel()

    async def _node(self, chain: Chain, *, task_status: trio.TaskStatus[str]) -> None:
        key = devp2p.PrivateKey.generate()
        async with devp2p.open_node(key, eth(chain), listen=["tcp://127.0.0.1:0"]) as node:
            task_status.started(node.enode)
            await trio.sleep_forever()

    def close(self) -> None:
        self._token.run_sync_soon(self._over.set)
        self._thread.join()
        for file in self._files:
            file.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    nodes = Served(tmp_path_factory.mktemp("served"))
    yield nodes
    nodes.close()


def arguments(served: Served, kind: str, blocks: str, *more: str, nodes: slice = slice(0, 2)) -> list[str]:
    return ["fetch", kind, blocks, "--network", served.genesis, *(f"--from={enode}" for enode in served.enodes[nodes]), *more]


def fetched(served: Served, path: Path, kind: str, blocks: str, form: str, **options: Any) -> bytes:
    assert main(arguments(served, kind, blocks, "--format", form, "--output", str(path), **options)) == 0
    assert [one.name for one in path.parent.iterdir() if one.name.startswith((path.name, f".{path.name}"))] == [path.name]
    return path.read_bytes()


def test_rlp_is_what_chain_import_and_geth_import_read(served: Served, tmp_path: Path):
    assert fetched(served, tmp_path / "a", "blocks", f"1..{LAST}", "rlp") == CHAIN.chain_file()
    assert fetched(served, tmp_path / "b", "receipts", "1..", "rlp") == CHAIN.receipts_file()
    assert fetched(served, tmp_path / "c", "headers", "3..4", "rlp") == b"".join(block.header.raw for block in CHAIN.blocks[3:5])


def test_json_has_a_line_for_each_with_the_names_of_json_rpc(served: Served, tmp_path: Path):
    blocks = [json.loads(line) for line in fetched(served, tmp_path / "a", "blocks", "0..2", "json").splitlines()]
    assert [block["hash"] for block in blocks] == [f"0x{block.hash.hex()}" for block in CHAIN.blocks[:3]]
    assert blocks[2]["number"] == "0x2"
    made = CHAIN.blocks[2].transactions[1]
    told = blocks[2]["transactions"][1]
    assert (told["hash"], told["from"], told["value"]) == (f"0x{made.hash.hex()}", f"0x{made.sender.hex()}", hex(made.value))
    assert blocks[2]["withdrawals"][0].keys() == {"index", "validatorIndex", "address", "amount"}
    receipts = [json.loads(line) for line in fetched(served, tmp_path / "b", "receipts", "2", "json").splitlines()]
    assert [one["transactionIndex"] for one in receipts] == ["0x0", "0x1", "0x2"]
    assert {one["status"] for one in receipts} <= {"0x0", "0x1"}


def test_blocks_of_every_age_become_rows_and_what_nobody_can_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Before Homestead s might be in the upper half; and a later fork may bring types of transactions that are not known here."""
    monkeypatch.chdir(tmp_path)
    key = devp2p.PrivateKey.generate()
    low = Transaction(type=0, gas_price=1, to=bytes(20)).signed(key)
    order_of_the_curve = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
    old = replace(low, v=55 - low.v, s=order_of_the_curve - low.s)
    for item, sender in ((old.raw, f"0x{address_of(key).hex()}"), (rlp.encode(b"\x7e\xc0"), None)):
        body = Body((item,), (), ())
        header = replace(CHAIN.genesis.header, transactions_root=transactions_root(body.transactions))
        order = Order(0, 0, header.hash, bodies=True)
        with Journal.open(tmp_path / f"{header.hash.hex()}", order) as journal:
            journal.add_headers([header])
            journal.add("body", [(0, body.raw)])
            if sender is None:
                with pytest.raises(Failure, match=f"block 0x{header.hash.hex()}: a transaction of type 126, .*: only --format rlp can"):
                    _write_out(journal, "blocks", "json", "out")
            else:
                _write_out(journal, "blocks", "json", "out")
                assert json.loads(Path("out").read_text())["transactions"][0]["from"] == sender
            _write_out(journal, "blocks", "rlp", "out")
            assert Path("out").read_bytes() == Block(header, body).raw


def test_csv_and_parquet_have_the_same_columns_and_rows(served: Served, tmp_path: Path):
    for kind in ("headers", "blocks", "receipts"):
        text = fetched(served, tmp_path / f"{kind}.csv", kind, "1..5", "csv").decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        path = tmp_path / f"{kind}.parquet"
        fetched(served, path, kind, "1..5", "parquet")
        table = parquet.read_table(path)
        assert table.column_names == list(rows[0])
        assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_pylist()] == rows
        assert len(rows) == (5 * 3 if kind == "receipts" else 5)


def test_large_blocks_do_not_gather_in_memory_until_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writers, "_BYTES_AT_ONCE", 2 * len(CHAIN.blocks[1].header.raw))
    path = tmp_path / "headers.parquet"
    with path.open("wb") as file, writers.open_writer("parquet", file, KINDS["headers"]) as writer:
        for block in CHAIN.blocks:
            writer.write(Filled(block.header.raw, None, None))
    assert parquet.ParquetFile(path).metadata.num_row_groups >= len(CHAIN.blocks) // 3
    assert parquet.read_table(path).num_rows == len(CHAIN.blocks)


def test_a_chain_in_two_forms_to_which_nodes_hold_is_not_chosen_from(served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(arguments(served, "headers", f"0..{LAST}", nodes=slice(0, 3))) == 1
    assert f"the peers do not agree on block {LAST}: " in capsys.readouterr().err
    hash_ = CHAIN.head.hash.hex()
    path = tmp_path / "a"
    assert main(arguments(served, "headers", f"0..{LAST}", "--anchor", hash_, "--format=rlp", "-o", str(path), nodes=slice(0, 3))) == 0
    assert path.read_bytes() == b"".join(block.header.raw for block in CHAIN.blocks)


def test_killed_it_goes_on_with_what_it_had(served: Served, tmp_path: Path):
    output = tmp_path / "blocks.rlp"
    command = arguments(served, "blocks", f"1..{LAST}", "--format=rlp", "--output", str(output), nodes=slice(1, 2))
    served.lagging.held.update(block.hash for block in CHAIN.blocks[4:7])
    try:
        assert _ended_by(signal.SIGKILL, command, f"{output}.fetch")[0] == -signal.SIGKILL
        assert not output.exists()
        status, told = _ended_by(signal.SIGINT, command, f"{output}.fetch")
        assert status == 1
        assert not output.exists()
        assert f"interrupted: {LAST} headers and {LAST - 3} bodies of {LAST} blocks; what came is in {output}.fetch, and the same" in told
    finally:
        served.lagging.held.clear()
    asked = served.lagging.asked
    assert main(command) == 0
    assert served.lagging.asked == asked + 3, "only what was missing is asked for"
    assert output.read_bytes() == CHAIN.chain_file()


def _ended_by(number: signal.Signals, command: Sequence[str], journal: str) -> tuple[int, str]:
    """End a fetch by a signal when all but three bodies are in its journal; return its status, and what it said."""
    process = subprocess.Popen([sys.executable, "-m", "devp2p.cli", *command], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline().endswith(f"of {LAST} blocks\n"), "it is at work"
    until = time.monotonic() + PATIENCE
    while _bodies_in(journal) < LAST - 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    told = process.communicate()[1]
    return process.returncode, told


def _bodies_in(path: str) -> int:
    """How many bodies are in a journal that another process may have open, and so is copied first."""
    copies = [Path(f"{path}.copy{suffix}") for suffix in ("", "-wal")]
    try:
        for copy, suffix in zip(copies, ("", "-wal"), strict=True):
            copy.write_bytes(Path(f"{path}{suffix}").read_bytes())
        order = Journal.order_of(copies[0])
        if order is None:
            return 0
        with Journal.open(copies[0], order) as journal:
            return journal.progress.bodies
    except (FileNotFoundError, devp2p.Devp2pError):
        return 0
    finally:
        for one in Path(path).parent.glob("*.copy*"):
            one.unlink()


@pytest.mark.parametrize(
    ("blocks", "more", "told"),
    [
        ("7..3", (), "'7..3' ends before it begins: write 3..7"),
        ("some", (), "'some' is no range of blocks: write one such as 7, 0..99 (both ends included), or 100.."),
        ("0..3", ("--anchor", "12"), "'12' is no hash of a block: it has 64 hex digits"),
        ("0..3", ("--output", "."), "--output . is no file that could be replaced: name another one, or leave it out to have stdout"),
        ("0..3", ("--network", "moonnet"), "--network moonnet: this is neither a public network (mainnet"),
    ],
)
def test_a_wrong_argument_is_named(served: Served, capsys: pytest.CaptureFixture[str], blocks: str, more: tuple[str, ...], told: str):
    with pytest.raises(SystemExit) if "moonnet" not in more else pytest.MonkeyPatch.context():
        assert main(arguments(served, "headers", blocks, *more)) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_what_no_node_has_is_said_with_what_came_instead(served: Served, capsys: pytest.CaptureFixture[str]):
    assert main(arguments(served, "headers", f"0..{LAST + 1}", "--patience=0.5")) == 1
    assert f"no peer has block {LAST + 1}: " in capsys.readouterr().err


def test_a_hash_that_no_node_has_is_doubted(served: Served, capsys: pytest.CaptureFixture[str]):
    assert main(arguments(served, "headers", "0..3", "--anchor", "ab" * 32, "--patience=0.5")) == 1
    assert "; 0 headers of 4 blocks; is the hash of block 3 that of --anchor?" in capsys.readouterr().err


async def test_the_newest_block_is_that_of_a_node_which_has_the_range():
    class Gone:
        def __getitem__(self, _: object) -> object:
            raise devp2p.PeerDisconnected(devp2p.DisconnectReason.CLIENT_QUITTING, by_remote=True)

    class Here:
        def __init__(self, head: int) -> None:
            self.head, self.address = head, f"tcp://{head}"

        def __getitem__(self, _: object) -> "Here":
            return self

    class Nodes:
        def __init__(self, *peers: object) -> None:
            self._peers = iter(peers)

        def peers(self, _: object) -> AsyncIterator[object]:
            return self

        def __aiter__(self) -> "Nodes":
            return self

        async def __anext__(self) -> object:
            for peer in self._peers:
                return peer
            raise StopAsyncIteration

    task: Any = SimpleNamespace(first=50, patience=1.0, nodes=(1, 2, 3, 4))
    nodes: Any = Nodes(Gone(), Here(40), Here(2**64 - 1), Here(60), Here(70))
    assert await _newest(nodes, task) == 60
    with pytest.raises(BackfillError, match="block of tcp://40 is 40, the newest block of tcp://7 is 7, and the range begins at 50"):
        await _newest(cast("Any", Nodes(Here(40), Gone(), Here(7))), task)


def test_a_node_that_is_not_there_is_named(served: Served, capsys: pytest.CaptureFixture[str]):
    gone = f"enode://{served.enodes[0].partition('://')[2].partition('@')[0]}@127.0.0.1:1"
    assert main(["fetch", "headers", "0", "--network", served.genesis, "--from", gone, "--patience=0.5"]) == 1
    told = capsys.readouterr().err
    assert told.count("127.0.0.1:1: ") == 1
    assert "onnection refused" in told


def test_a_folder_that_is_not_there_is_said_before_anything_is_fetched(served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(arguments(served, "headers", "0..3", "--output", str(tmp_path / "none" / "a"))) == 1
    told = capsys.readouterr().err
    assert f"{tmp_path / 'none' / 'a'}.fetch cannot be opened or made: name a file in a folder that is there" in told


class Screen(io.StringIO):
    """A terminal to which lines are written, and what became of the last of them."""

    def isatty(self) -> bool:
        return True

    @property
    def drawn(self) -> list[str]:
        return [part.removesuffix("\x1b[K") for part in self.getvalue().replace("\n", "\r").split("\r") if part]


@pytest.mark.parametrize(("columns", "bar"), [(100, 44), (80, 24), (40, 23), (20, 3)])
def test_on_a_terminal_a_bar_moves_in_a_line_that_fits(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: int, bar: int
):
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(arguments(served, "blocks", "0..", "-o", str(tmp_path / "a"))) == 0
    count = f"  {LAST + 1} headers and {LAST + 1} bodies of {LAST + 1} blocks" if columns >= 80 else ""
    assert screen.drawn[-1] == f"fetching  {'━' * bar}  100%{count}"
    assert max(map(len, screen.drawn)) < columns


def test_without_a_terminal_the_last_line_says_what_there_is(served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(arguments(served, "blocks", "1", "-o", str(tmp_path / "a"))) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "1 header and 1 body of 1 block"


def test_a_file_that_cannot_be_written_is_named_and_what_was_fetched_is_kept(
    served: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    output = tmp_path / "missing" / "headers"
    journal = tmp_path / "journal"
    assert main(arguments(served, "headers", "0..3", "--output", str(output), "--journal", str(journal))) == 1
    assert f"cannot write {output}: " in capsys.readouterr().err
    assert journal.exists()
    assert {one.name for one in tmp_path.iterdir()} == {"journal"}
