"""Rows P1, P3 and P5 of THREATS.md: what is peculiar to Python: hashes of numbers, one loop for everything, and faults that only warn.

Each name begins with its row. A control runs the same attack with the defence disabled, and there it must succeed.
"""

import ast
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time, thread_time

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from devp2p.session import StreamLine
from devp2p.session.opening import CHUNK
from devp2p.testing import two_nodes
from devp2p.wire.connection import Connection
from tests.chat import Blob, Chat, ChatMessage, chat, collect
from tests.steps import StepWatch

ROOT = Path(__file__).resolve().parents[2]
NOISE = random.Random(1)

# P1: the hash of an int is not salted. 256-bit numbers can be chosen so that all collide, and a dict of them is slow enough to stop a node.

KEYED = {"add", "get", "setdefault", "pop", "discard", "remove", "move_to_end"}
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """What belongs to a function or module, without the functions in it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, SCOPES):
            yield from own_nodes(child)


def int_keys(tree: ast.AST) -> list[int]:
    """The lines in which something is kept, or looked up, under an int that was made of bytes or text."""
    lines: list[int] = []
    for scope in (tree, *(node for node in ast.walk(tree) if isinstance(node, SCOPES))):
        numbers = set[str]()
        for node in own_nodes(scope):
            match node:
                case ast.Assign([ast.Name(id=name)], value) | ast.AnnAssign(ast.Name(id=name), value=ast.expr() as value):
                    numbers |= {name} if is_number(value, numbers) else set()
        for node in own_nodes(scope):
            lines += [key.lineno for key in keys_in(node) if key is not None and is_number(key, numbers)]
    return lines


def keys_in(node: ast.AST) -> list[ast.expr | None]:
    match node:
        case ast.Dict(keys=keys):
            return keys
        case ast.Set(elts=elements):
            return [*elements]
        case ast.DictComp(key=key) | ast.SetComp(elt=key) | ast.Subscript(slice=key):
            return [key]
        case ast.Call(func=ast.Attribute(attr=attr), args=[key, *_]) if attr in KEYED:
            return [key]
    return []


def is_number(node: ast.expr, numbers: set[str]) -> bool:
    match node:
        case ast.Name(id=name):
            return name in numbers
        case ast.BinOp(left=left, right=right):
            return is_number(left, numbers) or is_number(right, numbers)
        case ast.Call(func=ast.Name(id="int"), args=[ast.BinOp()]):
            return False  # rounding
        case ast.Call(func=ast.Name(id="int"), args=[ast.Subscript(slice=ast.Name() | ast.Constant()), ast.Constant(16)]):
            return False  # one digit
        case ast.Call(func=function):
            return ast.unparse(function) in {"int", "int.from_bytes"}
    return False


def wide_numbers(text: str) -> list[str]:
    """The fields of dataclasses that take numbers of more than 64 bits from the wire, of which any number can collide."""
    if "rlp.codec(" not in text:
        return []
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(one) for one in node.decorator_list):
            fields = [field for field in node.body if isinstance(field, ast.AnnAssign)]
            wide = [field for field in fields if {"int", "U256"} & set(words(ast.unparse(field.annotation)))]
            found += [f"{node.name}.{ast.unparse(field.target)}" for field in wide]
    return found


def words(annotation: str) -> list[str]:
    return "".join(character if character.isalnum() else " " for character in annotation).split()


FILES = sorted((ROOT / "devp2p").rglob("*.py"))


def test_p1_nothing_from_the_network_is_kept_under_an_int():
    found = {str(path.relative_to(ROOT)): int_keys(ast.parse(path.read_text("utf-8"))) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert len(found) > 100


WIDE = {
    "acquaintance.py": ["Acquaintance.refused"],  # our own count
    "answers.py": ["_Kind.cost"],  # ours
    "base.py": ["CapabilityVersion.version", "Hello.version", "Hello.listen_port", "_WireCapability.version"],  # checked to have 64 bits
    "checking.py": ["AccountPage.size", "StoragePage.slots", "StoragePage.size"],  # lengths, and values of slots by their hashes
    "control.py": ["Pad.size", "Unknown.code"],  # a length, and an item of the list of codes
    "element.py": ["Verdict.introductions"],  # 8 bits
    "enr.py": ["Record.sequence"],  # 64 bits, too
    "packets.py": ["Ping.version"],  # not looked at
}


def test_p1_no_number_of_a_message_could_collide_with_more_than_eight_others():
    assert {path.name: fields for path in FILES if (fields := wide_numbers(path.read_text("utf-8")))} == WIDE


@pytest.mark.parametrize(
    "bad",
    [
        "d[int.from_bytes(node)]",
        "x = int.from_bytes(node)\ns.add(x)",
        "{int(a): b}",
        "{int(a) ^ b for a in c}",
        "x: int = int.from_bytes(node)\nx in seen or seen.add(x)",
        "d.get(int(text), None)",
        "d[int(text[1:], 16)]",
        "def f(node):\n    x = int.from_bytes(node)\n    return d[x]",
    ],
)
def test_p1_the_rule_finds_its_fault(bad):
    assert int_keys(ast.parse(bad)) != []


def test_p1_the_rules_know_what_is_no_fault():
    assert int_keys(ast.parse("def f(a):\n    x = int.from_bytes(a)\n    return x\ndef g(x):\n    return d[x]")) == []
    message = "@dataclass\nclass A:\n    a: int\n    b: rlp.U64\n    c: U256 | None\nx = rlp.codec(A)"
    assert wide_numbers(message) == ["A.a", "A.c"]


def colliding(count: int) -> list[bytes]:
    """Node-IDs, say, that as numbers all have one hash."""
    return [(1 + place * (2**61 - 1)).to_bytes(32) for place in range(count)]


def test_p1_ids_made_to_collide_as_ints_do_not_as_bytes():
    ids = colliding(100_000)
    assert len({hash(node) for node in ids}) > 99_990


def test_p1_control_as_ints_they_all_collide_and_each_costs_more_than_the_one_before():
    numbers = [int.from_bytes(node) for node in colliding(4000)]
    assert len({hash(number) for number in numbers}) == 1
    began = process_time()
    assert len(dict.fromkeys(NOISE.getrandbits(256) for _ in numbers)) == len(numbers)
    fair, began = process_time() - began, process_time()
    assert len(dict.fromkeys(numbers)) == len(numbers)
    assert process_time() - began > 5 * fair  # it is some 100 times as long


# P3: there is one loop, and who keeps it busy stops everybody


async def largest_pieces(monkeypatch: pytest.MonkeyPatch, *, dpx: bool = False) -> tuple[int, int]:
    """Send large messages through a session: how many bytes are taken in, and sent, in one step at most."""
    taken, sent = [0], [0]
    receive_data, send_all = Connection.receive_data, StreamLine._send_all

    def receive(self: Connection, data: bytes) -> None:
        taken.append(len(data))
        receive_data(self, data)

    async def send(self: StreamLine, data: bytearray) -> None:
        sent.append(len(data))
        await send_all(self, data)

    monkeypatch.setattr(Connection, "receive_data", receive)
    monkeypatch.setattr(StreamLine, "_send_all", send)
    seen: list[ChatMessage] = []
    async with two_nodes([Chat()], [chat(collect(seen))], dpx=dpx) as (one, _):
        await one.connected[0][Chat].send(Blob(NOISE.randbytes(3_000_000)))
        await wait_all_tasks_blocked()
        assert seen
    return max(taken), max(sent)


@pytest.mark.parametrize("dpx", [False, True])
async def test_p3_no_step_takes_in_or_seals_more_than_some_64_kib(monkeypatch, dpx):
    taken, sent = await largest_pieces(monkeypatch, dpx=dpx)
    assert max(taken, sent) <= 2 * CHUNK


async def test_p3_control_without_slices_a_step_seals_a_whole_message(monkeypatch):
    monkeypatch.setattr("devp2p.session.stream_line.CHUNK", 2**24)
    _, sent = await largest_pieces(monkeypatch)
    assert sent > 3_000_000


async def busy(seconds: float) -> None:
    await trio.lowlevel.checkpoint()
    until = thread_time() + seconds
    while thread_time() < until:
        pass
    await trio.lowlevel.checkpoint()


async def test_p3_control_a_step_that_is_too_long_is_noticed():
    watch = StepWatch("some.")
    watch.test = "this one"
    trio.lowlevel.add_instrument(watch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy, 0.02, name="some.where")
        nursery.start_soon(busy, 0.04, name="others.whose_time_does_not_count")
    trio.lowlevel.remove_instrument(watch)
    assert watch.longest.seconds >= 0.02
    assert watch.longest[1:] == ("some.where", "this one")


# P5: what Python only warns of, because nobody is there to catch it

FAULTS = {
    "an exception that nobody can catch": """
class A:
    def __del__(self):
        raise ValueError("nobody hears this")
def test_it():
    A()
""",
    "a socket that nobody closed": """
import socket
def test_it():
    socket.socket()
""",
    "a coroutine that nobody awaited": """
import trio
def test_it():
    trio.sleep(1)
""",
}


def run_faults(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test for each fault by the settings of this project."""
    for number, program in enumerate(FAULTS.values()):
        (path / f"test_{number}.py").write_text(program, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(path)]
    return subprocess.run([*command, *options, str(path)], capture_output=True, text=True, check=False, timeout=600, cwd=path)


def test_p5_each_fault_that_only_warns_fails_the_test_in_which_it_is(tmp_path):
    result = run_faults(tmp_path)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout + result.stderr
    failed = {line.split()[1].rpartition("test_")[0] for line in result.stdout.splitlines() if line.startswith("FAILED ")}
    assert failed == {f"test_{number}.py::" for number in range(len(FAULTS))}, result.stdout


def test_p5_control_as_python_is_by_default_the_tests_pass(tmp_path):
    result = run_faults(tmp_path, "-W", "default")
    assert result.returncode == pytest.ExitCode.OK, result.stdout + result.stderr
