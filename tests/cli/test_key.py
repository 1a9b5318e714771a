"""Node keys: made without harm to those there are, inspected without showing the secret."""

import io
import json
import stat
import subprocess
import sys

import pytest

from devp2p import NodeRecord, PrivateKey
from devp2p.cli import main
from devp2p.terminal.output import Exit
from tests.cli.processes import ROOT, write_secret

KEY = PrivateKey.from_bytes(bytes.fromhex("b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"))
HEX = bytes(KEY).hex()
PUBLIC = bytes(KEY.public_key).hex()


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "node.key"
    write_secret(path, HEX)
    return path


def test_generate_prints_a_key(capsys):
    keys = set()
    for _ in range(2):
        assert main(["key", "generate"]) == Exit.OK
        keys.add(capsys.readouterr().out)
    assert len(keys) == 2
    for text in keys:
        assert len(text) == 65
        PrivateKey.from_bytes(bytes.fromhex(text))


def test_generate_writes_a_file_that_others_cannot_read_and_other_clients_can(tmp_path, capsys):
    path = tmp_path / "node.key"
    assert main(["key", "generate", str(path)]) == Exit.OK
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert len(text) == 64  # digits, and no newline
    key = PrivateKey.from_bytes(bytes.fromhex(text))
    output = capsys.readouterr().out
    assert text not in output
    assert bytes(key.public_key).hex() in output


def test_generate_never_overwrites_a_key(key_file, capsys):
    assert main(["key", "generate", str(key_file)]) == Exit.FAILED
    assert key_file.read_text() == HEX
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == f"devp2p: {key_file} exists, and a lost key cannot be made again; --force replaces it\n"


def test_generate_with_force_replaces_a_key_and_its_mode(key_file):
    key_file.chmod(0o644)
    assert main(["key", "generate", str(key_file), "--force"]) == Exit.OK
    assert key_file.read_text() != HEX
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert list(key_file.parent.iterdir()) == [key_file]  # nothing half-written lies about


def test_generate_with_force_makes_a_file_too(tmp_path):
    assert main(["key", "generate", str(tmp_path / "new"), "--force"]) == Exit.OK
    assert len((tmp_path / "new").read_text()) == 64


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(("path", "problem"), [("missing/key", "No such file"), ("", "is a directory")])
def test_generate_says_why_it_cannot_write(path, problem, force, tmp_path, capsys):
    assert main(["key", "generate", str(tmp_path / path), *force]) == Exit.FAILED
    output = capsys.readouterr()
    assert output.err.startswith("devp2p: ")
    assert problem in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_full_disk_leaves_nothing_behind(force, tmp_path):
    path = tmp_path / "node.key"
    # A limit for the size of files stands for the end of the disk.
    program = """
import resource, signal, sys
from devp2p.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
sys.exit(main())
"""
    command = [sys.executable, "-c", program, "key", "generate", str(path), *force]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (Exit.FAILED, f"devp2p: cannot write {path}: File too large\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [HEX, f"0x{HEX}\n", f" {HEX.upper()}\r\n"])
@pytest.mark.parametrize("source", ["file", "text", "stdin"])
def test_inspect_shows_the_public_half(source, content, tmp_path, monkeypatch, capsys):
    path = tmp_path / "node.key"
    write_secret(path, content)
    monkeypatch.setattr(sys, "stdin", io.StringIO(content))
    assert main(["key", "inspect", {"file": str(path), "text": content, "stdin": "-"}[source]]) == Exit.OK
    output = capsys.readouterr().out
    assert dict(line.split(maxsplit=1) for line in output.replace("public key", "key").replace("node ID", "id").splitlines()) == {
        "key": PUBLIC,
        "id": KEY.public_key.node_id.hex(),
        "enode": f"enode://{PUBLIC}",
    }
    assert HEX not in output.lower()


@pytest.mark.parametrize(
    ("listen", "enode"),
    [
        ("127.0.0.1:30303", f"enode://{PUBLIC}@127.0.0.1:30303"),
        ("tcp://[::1]:1", f"enode://{PUBLIC}@[::1]:1"),
        ("unix:///run/node.sock", f"unix://{PUBLIC}@/run/node.sock"),
    ],
)
def test_inspect_makes_an_enode(listen, enode, key_file, capsys):
    assert main(["key", "inspect", str(key_file), "--listen", listen, "--json"]) == Exit.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"public_key": PUBLIC, "id": KEY.public_key.node_id.hex(), "enode": enode}
    assert NodeRecord.parse(shown["enode"]).public_key == KEY.public_key


@pytest.mark.parametrize("listen", ["*:30303", "0.0.0.0:30303", "[::]:30303", ":30303"])
def test_inspect_makes_no_enode_that_nobody_can_dial(listen, capsys):
    assert main(["key", "inspect", HEX, "--listen", listen]) == Exit.USAGE
    assert "wildcard" in capsys.readouterr().err


def test_an_empty_path_is_said_to_be_one(capsys):
    assert main(["key", "generate", ""]) == Exit.USAGE
    assert capsys.readouterr() == ("", "devp2p: the path of the key file is empty: name a file\n")


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("missing.key", "there is no key file missing.key; make one: devp2p key generate missing.key"),
        ("short.key", "short.key is no key file: it has 63 bytes, where 64 hex digits are wanted; to make one: devp2p key generate FILE"),
        ("long.key", "long.key is no key file: it has more than 1024 bytes, where"),
        ("binary.key", "binary.key is no key file: it has 64 bytes, where"),
        (".", "cannot read the key file .: Is a directory"),
        (HEX[:-1], "that is neither a file nor a key: it has 63 hex digits, where 64 are wanted"),
        ("0" * 64, "these 64 hex digits are no key: "),
        ("ff" * 32, "these 64 hex digits are no key: "),
        ("-", "there is no key on stdin: 64 hex digits are wanted"),
    ],
)
def test_inspect_says_what_is_no_key_and_never_repeats_it(key, problem, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(HEX[:-1]))
    (tmp_path / "short.key").write_text(HEX[:-1])
    (tmp_path / "long.key").write_text(HEX * 100)
    (tmp_path / "binary.key").write_bytes(bytes(range(192, 256)))
    assert main(["key", "inspect", key]) == Exit.USAGE
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"devp2p: {problem}")
    assert output.err.count("\n") == 1
    assert HEX[:-1] not in output.err
