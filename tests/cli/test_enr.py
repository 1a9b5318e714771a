"""Records by the command: what they say, and how they are signed."""

import io
import json
from pathlib import Path

import pytest

from devp2p import PrivateKey
from devp2p.cli import main
from devp2p.records.enr import Record
from devp2p.terminal.output import Exit
from tests.cli.processes import write_secret

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "enr.json").read_text())


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "node.key"
    return str(write_secret(path, bytes(PrivateKey.from_bytes(bytes(31) + b"\x07")).hex()))


def test_the_specifications_record_is_shown(capsys):
    assert main(["enr", "show", VECTOR["enr"]]) == Exit.OK
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if not line.startswith("public key"))
    assert shown["id"] == VECTOR["node_id"]
    assert (shown["ip"], shown["udp"], shown["enr"]) == (VECTOR["ip"], str(VECTOR["udp"]), VECTOR["enr"])
    assert "tcp" not in shown


def test_what_was_signed_is_shown_again(key, capsys, monkeypatch):
    where = ["--ip", "203.0.113.5", "--tcp", "30303", "--udp", "30304", "--ip6", "2001:db8::5", "--tcp6", "1", "--udp6", "2"]
    assert main(["enr", "sign", "--key", key, "--seq", "7", *where, "--set", "eth=c7c684fc64ec0480", "--set", "x=0x05"]) == Exit.OK
    text = capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["enr", "show", "-", "--json"]) == Exit.OK
    shown = json.loads(capsys.readouterr().out)
    record = Record.parse(text.strip())
    assert record.sequence == 7
    public_key = PrivateKey.from_bytes(bytes(31) + b"\x07").public_key
    assert shown == {
        "id": public_key.node_id.hex(),
        "public_key": bytes(public_key).hex(),
        "seq": 7,
        "ip": "203.0.113.5",
        "ip6": "2001:db8::5",
        "tcp": 30303,
        "udp": 30304,
        "tcp6": 1,
        "udp6": 2,
        "enode": f"enode://{bytes(public_key).hex()}@203.0.113.5:30303?discport=30304",
        "enr": text.strip(),
        "entries": {"eth": "c7c684fc64ec0480", "x": "05"},
    }


def test_a_record_of_somebody_elses_words_is_refused(capsys):
    forged = VECTOR["enr"][:-4] + "AAAA"
    assert main(["enr", "show", forged]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("devp2p: that is no valid record: ")


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--ip", "::1"], "argument --ip: an IPv4 address is wanted, not '::1'"),
        (["--ip6", "1.2.3.4"], "argument --ip6: an IPv6 address is wanted"),
        (["--tcp", "0"], "argument --tcp: a port is a number from 1 to 65535, not 0"),
        (["--udp", "65536"], "argument --udp: a port is a number"),
        (["--set", "eth"], "argument --set: a key and the RLP of its value in hex are wanted"),
        (["--set", "eth=c"], "argument --set: a key and the RLP"),
        (["--set", "=c0"], "argument --set: a key and the RLP"),
        (["--seq", "-1"], "argument --seq: a whole number from 0 up is wanted"),
    ],
)
def test_wrong_arguments_are_explained(argv, problem, key, capsys):
    with pytest.raises(SystemExit) as exited:
        main(["enr", "sign", "--key", key, *argv])
    assert exited.value.code == Exit.USAGE
    assert f"devp2p enr sign: error: {problem}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["--set", "id=c0"], "'id' comes with the signature"),
        (["--set", "eth=c0c0"], "'eth': "),
        (["--set", f"x=b8ff{'00' * 255}"], "a record of "),
    ],
)
def test_what_cannot_be_signed_is_one_line(argv, problem, key, capsys):
    assert main(["enr", "sign", "--key", key, *argv]) == Exit.USAGE
    error = capsys.readouterr().err
    assert error.startswith(f"devp2p: {problem}")
    assert error.count("\n") == 1
