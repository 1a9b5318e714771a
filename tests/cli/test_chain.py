"""`devp2p chain`: files become a chain that a node can serve, and what does not fit is told in one line."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from devp2p.capabilities.ethereum.store import Importer, ImportProgress, additions, importing
from devp2p.cli import main
from devp2p.cli.chain import _Progress
from tests.capabilities.chains import ChainFiles, build_chain

CHAIN = build_chain(5, 2)


@pytest.fixture
def files(tmp_path: Path) -> ChainFiles:
    return CHAIN.write(tmp_path, states=(2, -1))


def arguments(files: ChainFiles, database: Path) -> list[str]:
    """Options before, between and behind the files, as people write them."""
    states = [part for number, path in files.states.items() for part in ("--state", f"{number}={path}")]
    return [
        *("chain", "import", str(database), "--genesis", str(files.genesis), str(files.chain)),
        *("--receipts", str(files.receipts), "--bals", str(files.access_lists), *states),
    ]


def ran(capsys: pytest.CaptureFixture[str], *argv: str, status: int = 0) -> str:
    """What a command has written: on stdout, or, if it fails, on stderr."""
    assert main(argv) == status
    told = capsys.readouterr()
    assert (told.err if status == 0 else told.out) == ""
    return told.out if status == 0 else told.err


def test_an_import_says_what_came_and_what_there_is_as_info_does(capsys: pytest.CaptureFixture[str], files: ChainFiles, tmp_path: Path):
    database = tmp_path / "chain.db"
    told: dict[str, Any] = json.loads(ran(capsys, *arguments(files, database), "--json"))
    assert told.pop("imported") == {"blocks": 5, "receipts": 5, "access_lists": 5, "states": 2}
    assert told == json.loads(ran(capsys, "chain", "info", str(database), "--json"))
    head, fork_id = CHAIN.head.header, CHAIN.genesis.network.fork_id(5, CHAIN.head.header.timestamp)
    assert told == {
        "file": str(database),
        "network": {
            "network_id": 1337,
            "chain_id": 1337,
            "genesis": f"0x{CHAIN.genesis.hash.hex()}",
            "fork_id": {"hash": f"0x{fork_id.hash.hex()}", "next": 0},
        },
        "head": {
            "number": 5,
            "hash": f"0x{head.hash.hex()}",
            "timestamp": head.timestamp,
            "state_root": f"0x{head.state_root.hex()}",
        },
        "earliest": 0,
        "blocks": 6,
        "beside": 0,
        "receipts": 6,
        "access_lists": 5,
        "codes": 2,
        "states": [
            {
                "number": number,
                "root": f"0x{CHAIN.blocks[number].header.state_root.hex()}",
                "accounts": len(CHAIN.blocks[number].state),
                "slots": sum(len(holding.storage) for holding in CHAIN.blocks[number].state.values()),
                "served": True,
            }
            for number in (5, 2, 0)
        ],
    }


def test_for_people_it_says_the_same_in_lines(capsys: pytest.CaptureFixture[str], files: ChainFiles, tmp_path: Path):
    database = tmp_path / "chain.db"
    lines = ran(capsys, *arguments(files, database)).splitlines()
    assert lines[0] == "imported      blocks 5, receipts 5, access lists 5, states 2"
    assert f"head          block 5, 0x{CHAIN.head.hash.hex()}, 1970-01-01 00:00:50 UTC" in lines
    assert "receipts      of 6 blocks, complete from block 0 on" in lines
    assert lines[1:] == ran(capsys, "chain", "info", str(database)).splitlines()
    again = ran(capsys, "chain", "import", str(database), str(files.chain)).splitlines()
    assert again[0] == "imported      blocks 0, receipts 0, access lists 0, states 0"
    assert again[1:] == lines[1:]


def test_a_block_is_named_by_its_hash_as_well(capsys: pytest.CaptureFixture[str], files: ChainFiles, tmp_path: Path):
    named = f"0x{CHAIN.head.hash.hex()}={files.states[5]}"
    out = ran(capsys, *arguments(files, tmp_path / "db")[:6], "--state", named, "--json")
    assert json.loads(out)["imported"]["states"] == 1


def test_what_does_not_fit_is_one_line_and_exit_status_1(capsys: pytest.CaptureFixture[str], files: ChainFiles, tmp_path: Path):
    database = str(tmp_path / "chain.db")
    data = files.chain.read_bytes()
    files.chain.write_bytes(data[:-3])
    told = ran(capsys, "chain", "import", database, "--genesis", str(files.genesis), str(files.chain), status=1)
    assert told.count("\n") == 1
    assert told.startswith(f"devp2p: {files.chain}: byte ")
    assert told.endswith(f"(4 items before it are in {database})\n")
    assert json.loads(ran(capsys, "chain", "info", database, "--json"))["head"]["number"] == 4


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["import", "{tmp}/new.db"], "there is no {tmp}/new.db: name the genesis file of its chain with --genesis"),
        (["import", "{tmp}/new.db", "--genesis", "{tmp}/none.json"], "cannot read {tmp}/none.json: no such file or directory"),
        (["import", "{tmp}/new.db", "--genesis", "{tmp}/chain.rlp"], "{tmp}/chain.rlp"),
        (["import", "{tmp}/new.db", "--genesis", "{tmp}/genesis.json", "{tmp}/nothing.rlp"], "cannot read {tmp}/nothing.rlp"),
    ],
)
def test_wrong_files_are_refused_before_anything_is_made(
    capsys: pytest.CaptureFixture[str], files: ChainFiles, tmp_path: Path, argv: list[str], told: str
):
    assert files.chain.exists()
    assert told.format(tmp=tmp_path) in ran(capsys, "chain", *(part.format(tmp=tmp_path) for part in argv), status=2)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("state", ["5", "=x", "-1=x", "0x12=x", "five=x", "5="])
def test_a_state_is_a_block_and_a_file(capsys: pytest.CaptureFixture[str], state: str):
    with pytest.raises(SystemExit) as ended:
        main(["chain", "import", "db", f"--state={state}"])
    assert ended.value.code == 2
    assert "BLOCK=FILE is expected, such as 600=state.json" in capsys.readouterr().err


def test_info_of_nothing_says_how_to_make_it(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    told = ran(capsys, "chain", "info", str(tmp_path / "none.db"), status=1)
    assert (
        told
        == f"devp2p: there is no {tmp_path}/none.db: devp2p chain import {tmp_path}/none.db --genesis GENESIS.json CHAIN.rlp makes it\n"
    )
    assert not list(tmp_path.iterdir())


def test_progress_goes_to_stderr_now_and_then(capsys: pytest.CaptureFixture[str], files: ChainFiles, tmp_path: Path):
    times = iter((0.0, 9.0, 11.0, 12.0, 22.0))
    progress = _Progress(lambda: next(times))
    for items in (1, 2, 3, 4):
        progress.report(ImportProgress("some/chain.rlp", 1_500_000 * items, 9_000_000, items))
    progress.end()
    assert capsys.readouterr() == ("", "chain.rlp: 2 items, 3.0 of 9.0 MB\nchain.rlp: 4 items, 6.0 of 9.0 MB\n")
    reported: list[ImportProgress] = []
    times = iter((0.0, 11.0))
    _Progress(lambda: next(times)).report(ImportProgress("pipe", 1_500_000, 0, 1))
    assert capsys.readouterr() == ("", "pipe: 1 items, 1.5 MB\n")
    packed = tmp_path / "chain.rlp.gz"
    packed.write_bytes(gzip.compress(files.chain.read_bytes()))
    with Importer.open(tmp_path / "db", CHAIN.genesis, report=reported.append) as importer:
        assert importer.blocks(packed) == 5
    size = packed.stat().st_size
    assert reported[-1] == ImportProgress(str(packed), size, size, 5)


def test_progress_on_a_terminal_stays_in_one_line(monkeypatch: pytest.MonkeyPatch):
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "20")
    times = iter((0.0, 11.0))
    progress = _Progress(lambda: next(times))
    progress.report(ImportProgress("a-file-of-a-long-name.rlp", 1_500_000, 9_000_000, 3))
    assert screen.getvalue() == "\r\x1b[Ktems, 1.5 of 9.0 MB"
    progress.end()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_an_interrupted_import_goes_on_when_it_is_called_again(
    capsys: pytest.CaptureFixture[str], files: ChainFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Ctrl-C comes in the middle of the second batch."""
    add_block, added = additions.add_block, list[bool]()

    def interrupted(*arguments: Any) -> bool:
        if len(added) == 3:
            raise KeyboardInterrupt
        added.append(add_block(*arguments))
        return added[-1]

    database = str(tmp_path / "chain.db")
    with monkeypatch.context() as patch:
        patch.setattr(importing, "BATCH", 1000)  # bytes: two blocks
        patch.setattr(additions, "add_block", interrupted)
        assert main(["chain", "import", database, "--genesis", str(files.genesis), str(files.chain)]) == 130
    assert capsys.readouterr() == ("", "")
    assert json.loads(ran(capsys, "chain", "info", database, "--json"))["head"]["number"] == 2
    told = json.loads(ran(capsys, "chain", "import", database, str(files.chain), "--json"))
    assert (told["imported"]["blocks"], told["head"]["number"]) == (3, 5)
