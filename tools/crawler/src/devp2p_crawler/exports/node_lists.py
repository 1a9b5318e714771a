"""Node lists for DNS (EIP-1459): signed, as TXT records, as a zone file, or as the directory that `devp2p dns` commands keep."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from devp2p import LocalProtocolError, PrivateKey, Record, TreeUrl, make_tree
from devp2p_crawler.exports.files import atomically
from devp2p_crawler.exports.node_set import node_set_lines
from devp2p_crawler.exports.tables import ExportError
from devp2p_crawler.model import KnownNode

ROOT_TTL: Final = 1_800
"""Seconds for which resolvers may keep the root: so soon is a new list seen."""
ENTRY_TTL: Final = 28 * 86_400
"""Seconds for all other entries, which never change: their names follow from what they say."""

_INFO: Final = "enrtree-info.json"
_NODES: Final = "nodes.json"
_STRING: Final = 255  # bytes of one string of a TXT record
_SOA: Final = "3600 600 1209600 1800"  # seconds: refresh, retry, expire, how long a missing name is kept


@dataclass(frozen=True, slots=True)
class SignedList:
    """A list that is signed for a domain."""

    url: TreeUrl
    sequence: int
    signature: str
    texts: Mapping[str, str]
    """Names, of which the domain itself is the first, and their texts."""
    nodes: Sequence[KnownNode]


def sign_list(nodes: Sequence[KnownNode], key: PrivateKey, domain: str, sequence: int) -> SignedList:
    """Sign a list of nodes, all of which have records and are ordered by node-ID; ExportError for what is no domain."""
    records = [Record.decode(node.record.raw) for node in nodes if node.record is not None]
    try:
        tree = make_tree(records, (), sequence, key)
        return SignedList(tree.url(domain), sequence, tree.root.signature_text, tree.to_txt(domain), nodes)
    except LocalProtocolError as error:
        raise ExportError(str(error)) from None


def write_texts(signed: SignedList, file: IO[bytes]) -> None:
    """Write names and texts as a JSON object, as `devp2p dns to-txt` does."""
    file.write(f"{json.dumps(dict(signed.texts), indent=4)}\n".encode())


def write_zone(signed: SignedList, file: IO[bytes], nameservers: Sequence[str] = ()) -> None:
    """Write the records as a file of a zone (RFC 1035). With `nameservers` it is a whole zone, else a part to be included in one."""
    domain = signed.url.domain
    lines = [f"$ORIGIN {domain}.", f"$TTL {ENTRY_TTL}"]
    if nameservers:
        first = nameservers[0].rstrip(".")
        lines.append(f"@ {ROOT_TTL} IN SOA {first}. hostmaster.{domain}. {signed.sequence % 2**32} {_SOA}")
        lines += [f"@ {ROOT_TTL} IN NS {name.rstrip('.')}." for name in nameservers]
    for name, text in signed.texts.items():
        owner = f"@ {ROOT_TTL}" if name == domain else f"{name.removesuffix(f'.{domain}')} {ENTRY_TTL}"
        lines.append(f"{owner} IN TXT {' '.join(_strings(text))}")
    file.write("".join(f"{line}\n" for line in lines).encode())


def write_directory(signed: SignedList, directory: Path) -> None:
    """Write the two files that go-ethereum's `devp2p dns` and ours keep a list in; both are whole before either takes its place."""
    directory.mkdir(exist_ok=True)
    info: dict[str, object] = {
        "url": str(signed.url),
        "seq": signed.sequence,
        "signature": signed.signature,
        "links": [],
        "lastModified": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    with ExitStack() as stack:
        about, nodes = (stack.enter_context(atomically(directory / name)) for name in (_INFO, _NODES))
        about.write(json.dumps(info, indent=4).encode())
        nodes.writelines(piece.encode() for piece in node_set_lines(signed.nodes, whole_seconds=True))


def last_sequence(path: Path) -> int:
    """The sequence number of a list that was written to a path before, as any of these forms; 0 if there is none."""
    try:
        if path.is_dir():
            found = json.loads((path / _INFO).read_text("utf-8")).get("seq", 0)
            return found if isinstance(found, int) and found >= 0 else 0
        with path.open(encoding="utf-8") as file:
            head = file.read(65_536)
    except (OSError, ValueError, AttributeError):
        return 0
    number = head.partition("enrtree-root:v1 ")[2].partition(" seq=")[2].partition(" ")[0]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 20 else 0


def _strings(text: str) -> list[str]:
    r"""A text as strings of a TXT record, quoted; it is ASCII, and has nothing to escape but what RFC 1035 wants escaped."""
    parts = [text[start : start + _STRING] for start in range(0, len(text), _STRING)]
    return ['"{}"'.format(part.replace("\\", "\\\\").replace('"', '\\"')) for part in parts or [""]]
