"""The rules of ARCHITECTURE.md that a program can hold: who may import whom, what is kept out of pure code, how large things grow."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Lowest first. A file imports only from lower floors, or, as long as no cycle arises, from the folder or file that it is in. A name
# stands for a module of devp2p, or a folder with all in it.
FLOORS = (
    ("allocator", "deferred", "errors", "version"),
    ("arguments", "containment"),
    ("addresses", "bandwidth", "bounded", "conduct", "keys", "limits", "trust"),
    ("rlp",),
    ("records",),
    ("peers", "wire"),
    ("runtime", "transports"),
    ("capability",),
    ("session",),
    ("book",),
    ("discovery", "nat"),
    ("node",),
    ("devp2p",),  # devp2p/__init__.py
    ("capabilities", "metrics", "terminal", "testing"),
    ("cli",),
)
PLACES = {name: (floor, name) for floor, names in enumerate(FLOORS) for name in names}
FIRST_IMPURE_FLOOR = PLACES["transports"][0]
PURE = {
    "discovery.candidates",
    "discovery.dns.client",
    "discovery.dns.tree",
    "discovery.dns.walk",
    "discovery.events",
    "discovery.external_address",
    "discovery.own_record",
    "discovery.protocol",
    "discovery.table",
    "discovery.v4",
    "discovery.v5",
    "nat.epoch",
    "nat.leases",
    "nat.pcp",
    "nat.pmp",
    "nat.settings",
    "nat.ssdp",
    "node.candidates",
    "node.census",
    "node.policy",
    "node.vouching",
}
"""What is pure although it is higher up."""
IMPURE = {"trio", "time", "socket", "random", "secrets", "os.urandom"}
IMPURE_IN = {"keys": {"secrets", "os.urandom"}}  # new keys
ABOVE = {"tools", "tests", "examples"}
PUBLIC = {"rlp", "testing", "capabilities"}
"""What plugins may import of the library beside its root, and so may the capabilities that come with it."""
SCHEMES = ("tcp", "unix", "memory")
"""Of transports: nobody else acts on one by its name. (UDP is discovery's.)"""
NAMES_SCHEMES = {"transports", "addresses", "testing"}  # `addresses` says how they are written; `testing` is a user of the memory transport

# Alarms, not designers: what outgrows one either holds two things and is split, or is granted here with its reason.
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_METHODS = 400, 60, 25
GRANTED: dict[str, str] = {
    "devp2p/node/node.py:open_node": "two dozen arguments and what they mean; what it does is short",
    "devp2p/discovery/v4/exchange.py": "one state machine: a question and an answer, with the endpoint proofs that each needs of the other",
    "devp2p/discovery/opening.py:open_discovery": "its keyword arguments are the configuration, and half of it says what they are",
    "devp2p/discovery/service.py:Discovery": "what a user may ask of discovery, by short methods, of which most hand on",
    "devp2p/discovery/protocol.py:Protocol": "what both versions have in common; a third of its methods are for them to write",
    "devp2p/peers/ratings.py": "how peers are rated, ranked and kept: each of these reads what the others write of one peer",
    "devp2p/peers/ratings.py:Ratings": "the same; half of its methods are what one may report and ask",
    "devp2p/book/book.py:Book": "everything that is in the file, by short methods, one statement each",
}
"""What may be larger, "file" or "file:name" -> why it is one thing all the same."""
BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "abc"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def module_name(path: Path, root: Path) -> str:
    """`devp2p/rlp/__init__.py` is `rlp`, `devp2p/__init__.py` is `devp2p`."""
    parts = path.relative_to(root / "devp2p").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "devp2p"


def place(module: str) -> tuple[int, str] | None:
    """Floor of a module, and what has that floor."""
    return PLACES.get(module.partition(".")[0])


def is_pure(module: str) -> bool:
    """Whether no trio, no clock and no randomness may be in it."""
    around = {module.rsplit(".", cut)[0] for cut in range(module.count(".") + 1)}
    return PLACES[module.partition(".")[0]][0] < FIRST_IMPURE_FLOOR or bool(around & PURE)


def is_past_a_face(module: str, target: str) -> bool:
    """Whether a module imports a file that lies in a folder around which it does not lie itself; it is to import that folder."""
    folder = target.rpartition(".")[0]
    return bool(folder) and not f"{module}.".startswith(f"{folder}.")


def face_of(tree: ast.Module) -> set[str]:
    """The names in a package's ``__all__``."""
    lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return {name for found in lists for name in ast.literal_eval(found)}


def imported_names(nodes: list[ast.AST], path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Every import, wherever it stands (functions, TYPE_CHECKING), as (line, absolute dotted name); `os.urandom` also where it is used."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(root).parts[: -node.level]) if node.level else ""
            base = ".".join(part for part in (package, node.module) if part)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr == "urandom" and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield node.lineno, "os.urandom"


@dataclass(frozen=True)
class Module:
    """What is kept of a file of the library, since its tree is large, and many trees keep Python's garbage collection busy."""

    path: Path
    imports: list[tuple[int, str]]
    face: set[str] | None
    """Of a package."""
    schemes: list[str]
    """Faults."""

    @classmethod
    def of(cls, path: Path, root: Path, tree: ast.Module) -> "Module":
        nodes = [*ast.walk(tree)]
        schemes = scheme_faults(nodes, module_name(path, root), path.relative_to(root))
        return cls(path, [*imported_names(nodes, path, root)], face_of(tree) if path.stem == "__init__" else None, [*schemes])


def import_faults(root: Path, modules: dict[str, Module]) -> Iterator[str]:
    paths = {name: module.path for name, module in modules.items()}
    graph: dict[str, dict[str, int]] = {module: {} for module in paths}  # module -> what it imports -> line
    faces = {name: module.face for name, module in modules.items() if module.face is not None}
    for module, path in paths.items():
        here = place(module)
        where = path.relative_to(root)
        if here is None:
            yield f"{where}:1: {module} has no floor: give it one in FLOORS"
            continue
        floor, group = here
        yield from modules[module].schemes
        for line, name in modules[module].imports:
            top, _, inside = name.partition(".")
            if top in ABOVE:
                yield f"{where}:{line}: the library imports {top}"
            impure = IMPURE & {top, name}
            if impure and is_pure(module) and not impure <= IMPURE_IN.get(module, set()):
                yield f"{where}:{line}: {module} is pure code and uses {', '.join(impure)}"
            if top != "devp2p":
                continue
            # `devp2p.rlp` is the module `rlp`, `devp2p.rlp.encode` a name in it, and `devp2p.open_node` one in the package root.
            target = inside if inside in paths or inside in PLACES else inside.rpartition(".")[0] or "devp2p"
            there = place(target)
            through = inside.rpartition(".")[0]
            by_face = target in faces or (through in faces and inside.rpartition(".")[2] in faces[through])
            if not by_face and is_past_a_face(module, target):
                yield f"{where}:{line}: {module} imports {target} past its face"
            if group == "capabilities" and not (target.partition(".")[0] in PUBLIC or inside in {"", *faces["devp2p"]}):
                yield f"{where}:{line}: {module} imports {target}, which is not public"
            if target == "devp2p" and floor <= PLACES["devp2p"][0]:
                yield f"{where}:{line}: {module} imports the package root"
                continue
            graph[module].setdefault(target, line)
            if there is not None and there[1] != group and there[0] >= floor:
                yield f"{where}:{line}: {module} imports {target}, which is not on a lower floor"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        first, second, *_ = cycle = error.args[1][::-1]
        yield f"{paths[first].relative_to(root)}:{graph[first][second]}: import cycle: {' imports '.join(cycle)}"


def scheme_faults(nodes: list[ast.AST], module: str, where: Path) -> Iterator[str]:
    """Where the scheme of a transport is written out as a value: to make an address of it, to compare with it, or at the head of a text."""
    if module.partition(".")[0] in NAMES_SCHEMES:
        return
    for node in nodes:
        values: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Address":
            values = node.args[:1]
        elif isinstance(node, ast.Compare) and any(isinstance(side, ast.Attribute) and side.attr == "scheme" for side in ast.walk(node)):
            values = [side for side in ast.walk(node) if isinstance(side, ast.Constant)]
        elif isinstance(node, ast.keyword) and node.arg == "scheme":
            values = [node.value]
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            values = [ast.Constant(str(node.values[0].value).partition("://")[0])]
        for value in values:
            if isinstance(node, ast.expr | ast.keyword) and isinstance(value, ast.Constant) and value.value in SCHEMES:
                yield f"{where}:{node.lineno}: {module} names the scheme {value.value}, which is for transports to do"


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """All statements in a tree, without what is in them: a tenth of `ast.walk`."""
    for part in ("body", "handlers", "orelse", "finalbody", "cases"):
        for node in getattr(tree, part, ()):
            yield node
            yield from statements(node)


def size_faults(text: str, tree: ast.Module, where: Path) -> Iterator[str]:
    name_of = where.as_posix()
    granted = {name for name in GRANTED if name.partition(":")[0] == name_of}
    if where.stem.strip("_") in BANNED_NAMES:
        yield f"{where}:1: a module called {where.stem} says nothing about what is in it"
    if (lines := len(text.splitlines())) > MAX_MODULE_LINES and name_of not in granted:
        yield f"{where}:{MAX_MODULE_LINES + 1}: the module has {lines} lines, more than {MAX_MODULE_LINES}"
    for node in statements(tree):
        if f"{name_of}:{getattr(node, 'name', '')}" in granted:
            continue
        if isinstance(node, FUNCTIONS) and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES:
            yield f"{where}:{node.lineno}: {node.name} has {lines} lines, more than {MAX_FUNCTION_LINES}"
        if isinstance(node, ast.ClassDef) and (methods := len({f.name for f in node.body if isinstance(f, FUNCTIONS)})) > MAX_METHODS:
            yield f"{where}:{node.lineno}: {node.name} has {methods} methods, more than {MAX_METHODS}"


def faults(root: Path) -> list[str]:
    """All faults; each file is parsed once."""
    modules, large = dict[str, Module](), list[str]()
    for top in ("devp2p", "tools", "examples", "tests"):
        for path in sorted((root / top).rglob("*.py")):
            text = path.read_text("utf-8")
            tree = ast.parse(text)
            large += size_faults(text, tree, path.relative_to(root))
            if top == "devp2p":
                modules[module_name(path, root)] = Module.of(path, root, tree)
    return [*import_faults(root, modules), *large]


def test_the_tree_keeps_its_architecture() -> None:
    found = faults(ROOT)
    assert not found, "\n" + "\n".join(found)


BAD = {  # one file that breaks one rule -> how the fault is told, after the file's name
    "wire/up.py": ("from devp2p.session import x", ":1: wire.up imports session, which is not on a lower floor"),
    "wire/aside.py": ("import devp2p.peers", ":1: wire.aside imports peers, which is not on a lower floor"),
    "peers/far.py": ("from ..wire import frames", ":1: peers.far imports wire.frames, which is not on a lower floor"),
    "records/up.py": ("if TYPE_CHECKING:\n    from devp2p import node", ":2: records.up imports node, which is not on a lower floor"),
    "node/node.py": ("def f():\n    import devp2p", ":2: node.node imports the package root"),
    "session/root.py": ("from devp2p import open_node", ":1: session.root imports the package root"),
    "session/past.py": ("from devp2p.wire.frames import x", ":1: session.past imports wire.frames past its face"),
    "session/deep.py": ("from devp2p.peers.slots.policy import x", ":1: session.deep imports peers.slots.policy past its face"),
    "discovery/inside.py": ("from devp2p.discovery.v4.packets import x", ":1: discovery.inside imports discovery.v4.packets past its face"),
    "wire/chance.py": ("import os\nos.urandom(1)", ":2: wire.chance is pure code and uses os.urandom"),
    "discovery/v4/clock.py": ("from time import monotonic", ":1: discovery.v4.clock is pure code and uses time"),
    "keys.py": ("import trio", ":1: keys is pure code and uses trio"),
    "capability/channel.py": (
        "from devp2p.capability.peer import x",
        ":1: import cycle: capability.channel imports capability.peer imports capability.channel",
    ),
    "stray.py": ("", ":1: stray has no floor: give it one in FLOORS"),
    "cli/main.py": ("from tools import show", ":1: the library imports tools"),
    "node/dials.py": ('if address.scheme != "tcp":\n    pass', ":1: node.dials names the scheme tcp, which is for transports to do"),
    "cli/made.py": ('x = Address("unix", "/run")', ":1: cli.made names the scheme unix, which is for transports to do"),
    "cli/parsed.py": ('x = parse(f"tcp://{text}")', ":1: cli.parsed names the scheme tcp, which is for transports to do"),
    "records/changed.py": ('x = replace(y, scheme="memory")', ":1: records.changed names the scheme memory, which is for transports to do"),
    "capabilities/eth.py": ("from devp2p.keys import x", ":1: capabilities.eth imports keys, which is not public"),
    "wire/_helpers.py": ("", ":1: a module called _helpers says nothing about what is in it"),
    "wire/long.py": ("\n" * 401, ":401: the module has 401 lines, more than 400"),
    "wire/slow.py": ("async def f():\n" + "    x\n" * 60, ":1: f has 61 lines, more than 60"),
    "wire/god.py": ("class C:\n" + "".join(f"    def f{n}(self): ...\n" for n in range(26)), ":1: C has 26 methods, more than 25"),
}
GOOD = {
    "__init__.py": "from devp2p.node import open_node\n__all__ = ['open_node']",
    "capability/__init__.py": "",
    "capability/channel.py": "",
    "session/__init__.py": "",
    "session/running.py": "import trio, time\nfrom devp2p.peers.slots import x\nfrom devp2p import rlp\nfrom devp2p.wire import frames",
    "node/__init__.py": "",
    "node/node.py": "from devp2p import session\nfrom devp2p.node.door import x",
    "node/door.py": "",
    "keys.py": "import os, secrets\nos.urandom(1)",
    "rlp/__init__.py": "from devp2p.rlp.codec import x",
    "rlp/codec.py": "from devp2p.errors import x",
    "wire/__init__.py": "__all__ = ['frames']",
    "wire/frames.py": "from .rlpx import handshake\nfrom devp2p.rlp import encode",
    "wire/rlpx/__init__.py": "__all__ = ['handshake']",
    "wire/rlpx/handshake.py": "from devp2p.wire.compression import x\nclass C:\n" + "    @overload\n    def f(self): ...\n" * 26,
    "wire/compression.py": "",
    "peers/__init__.py": "",
    "peers/slots/__init__.py": "",
    "peers/slots/policy.py": "",
    "discovery/__init__.py": "",
    "discovery/service.py": "import trio\nfrom devp2p.discovery.v4 import x",
    "discovery/v4/__init__.py": "",
    "discovery/v4/packets.py": "",
    "errors.py": "",
    "transports/tcp.py": 'x = Address("tcp", host)',
    "discovery/settings.py": 'x = Address("udp", host)',
    "capabilities/eth.py": "import devp2p\nfrom devp2p import open_node\nfrom devp2p.rlp import encode",
}


def test_what_is_granted_is_there_and_outgrows_a_bound() -> None:
    told = "\n".join(fault for name in GRANTED for fault in _faults_without_grants(name.partition(":")[0]))
    for name in GRANTED:
        path, _, inside = name.partition(":")
        assert f"{path}:" in told and f"{inside or 'the module'} has" in told, f"{name} is granted for nothing"  # noqa: PT018


def _faults_without_grants(path: str) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "GRANTED", {})
        text = (ROOT / path).read_text("utf-8")
        return list(size_faults(text, ast.parse(text), Path(path)))


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / "devp2p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def test_a_good_tree_has_no_fault(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert faults(tmp_path) == []


@pytest.mark.parametrize("name", BAD)
def test_each_rule_finds_its_fault(tmp_path: Path, name: str) -> None:
    text, fault = BAD[name]
    cycle = {"capability/peer.py": "from devp2p.capability.channel import x"} if name == "capability/channel.py" else {}
    write(tmp_path, {**GOOD, **cycle, name: text})
    assert faults(tmp_path) == [f"devp2p/{name}{fault}"]
