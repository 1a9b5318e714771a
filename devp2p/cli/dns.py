"""``devp2p dns``: read node lists from DNS, sign them, and make the TXT records by which they are published (EIP-1459)."""

import argparse
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import trio

from devp2p.cli.tree_files import NODES, TreeInfo, format_json, read_info, read_nodes, write_info, write_nodes, write_texts
from devp2p.discovery.dns import (
    DnsLimits,
    DnsSource,
    LinkFound,
    LookupFailed,
    PassEnded,
    QueryFailed,
    RecordFound,
    Resolver,
    TreeUrl,
    make_tree,
    parse_tree,
    restore_tree,
)
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.records import Record
from devp2p.terminal import Exit, Failure, HelpFormatter, count, read_key, seconds, warn, write, write_fields, write_json

SUMMARY = "read, sign and publish node lists in DNS"
DESCRIPTION = """\
Node lists in DNS (EIP-1459) are trees of TXT records that one key has signed.
On disk a list is a directory with two files, nodes.json and enrtree-info.json,
which go-ethereum's `devp2p dns` reads and writes as well.
"""
EPILOG = """\
examples:
  devp2p dns sync enrtree://<key>@nodes.example.org list
  devp2p dns sign list --key tree.key --domain nodes.example.org
  devp2p dns to-txt list
"""
_EXITS = """\
exit codes:
  0  done
  1  the list could not be read completely, or the result not be written
  2  wrong arguments, or files that are not what they should be
"""
_SYNC = """\
Read a whole list from DNS and write it to a directory, by default one that has
the name of the domain. Every entry is verified. Three names are looked up each
second, so that long lists take a while. Links to other lists are written down,
and not followed. A directory that has the same list already is brought up to
date, and no older list accepted.
"""
_SYNC_EPILOG = f"""\
examples:
  devp2p dns sync enrtree://<key>@nodes.example.org list
  devp2p dns sync enrtree://<key>@nodes.example.org --json --server 192.0.2.53

{_EXITS}"""
_SIGN = """\
Sign a list: a directory with a nodes.json, whose enrtree-info.json is then
written or brought up to date. Or a file, a nodes.json or one record (enr:...) a
line: then the TXT records are printed, as `to-txt` would do.
"""
_SIGN_EPILOG = f"""\
examples:
  devp2p dns sign list --key tree.key --domain nodes.example.org
  devp2p dns sign nodes.json --key tree.key --domain nodes.example.org --seq 7

{_EXITS}"""
_TO_TXT = """\
Print the TXT records by which a signed list is published, as a JSON object of
names and texts. DNS wants a text of more than 255 characters as several
strings, which readers join.
"""
_TO_TXT_EPILOG = f"""\
examples:
  devp2p dns to-txt list
  devp2p dns to-txt list records.json

{_EXITS}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = partial(commands.add_parser, formatter_class=HelpFormatter, allow_abbrev=False)

    sync = add("sync", help="read a list from DNS", description=_SYNC, epilog=_SYNC_EPILOG)
    sync.add_argument("url", metavar="ENRTREE-URL", type=_tree_url, help="the list: enrtree://<key>@DOMAIN")
    where = sync.add_mutually_exclusive_group()
    where.add_argument("directory", metavar="DIR", nargs="?", type=Path, help="where to write it (default: the domain)")
    where.add_argument("--json", action="store_true", help="print one JSON object instead of writing files")
    sync.add_argument("--server", metavar="IP[:PORT]", type=_server, help="the DNS server to ask (default: the system's)")
    sync.add_argument("--timeout", metavar="SECONDS", type=seconds, default=5.0, help="how long one lookup may take (default: 5)")
    sync.set_defaults(run=_sync)

    sign = add("sign", help="sign a list", description=_SIGN, epilog=_SIGN_EPILOG)
    sign.add_argument("list", metavar="DIR|FILE", type=Path, help="the list")
    sign.add_argument("--key", metavar="FILE", required=True, help="the key to sign with, as `devp2p key generate` makes it")
    sign.add_argument("--domain", metavar="DOMAIN", help="where it will be published (default: as before, or else the directory's name)")
    sign.add_argument("--seq", metavar="N", type=count, help="its sequence number (default: one more than before)")
    sign.set_defaults(run=_sign)

    to_txt = add("to-txt", help="make the TXT records of a signed list", description=_TO_TXT, epilog=_TO_TXT_EPILOG)
    to_txt.add_argument("directory", metavar="DIR", type=Path, help="the list")
    to_txt.add_argument("file", metavar="FILE", nargs="?", type=Path, help="where to write them (default: stdout)")
    to_txt.set_defaults(run=_to_txt)


def _tree_url(text: str) -> TreeUrl:
    try:
        return parse_tree(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _server(text: str) -> tuple[str, int]:
    """Read ``1.2.3.4``, ``1.2.3.4:53``, ``::1`` or ``[::1]:53``."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, "53"
    host = host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
    except ValueError:
        raise argparse.ArgumentTypeError(f"the IP address of a DNS server is wanted, not {text!r}") from None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{port!r} is no port")
    return host, int(port)


# ---------------------------------------------------------------------------------------------------------------------------- sync


@dataclass(slots=True)
class Synced:
    """What was read of a tree."""

    url: TreeUrl
    records: list[Record] = field(default_factory=list[Record])
    links: list[TreeUrl] = field(default_factory=list[TreeUrl])
    ended: PassEnded | None = None
    problem: str = ""
    """The last thing that went wrong."""

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return self.ended is not None and self.ended.complete


async def sync(url: TreeUrl, resolver: Resolver, *, sequence: int = 0, timeout: float = 5.0) -> Synced:  # noqa: ASYNC109  (for one lookup)
    """Read one tree, once, without those that it links to. One with a lower sequence number than `sequence` is not accepted."""
    source = DnsSource([url], resolver, sequences={url.identity: sequence}, once=True, limits=DnsLimits(linked_trees=0), timeout=timeout)
    synced = Synced(url)
    while (event := await source.next_event()) is not None:
        match event:
            case RecordFound(record=record):
                synced.records.append(record)
            case LinkFound(target=target):
                synced.links.append(target)
            case QueryFailed(name=name, why=why):
                synced.problem = f"{name}: {why}"
            case PassEnded():
                synced.ended = event
    # A tree that changed while it was read may have given some of them twice.
    synced.records = list({record.id: record for record in synced.records}.values())
    synced.links = list(dict.fromkeys(synced.links))
    return synced


def _sync(options: argparse.Namespace) -> int:
    url: TreeUrl = options.url
    directory = options.directory or Path(url.domain)
    sequence = 0
    if not options.json:
        before = read_info(directory)
        if before.url is not None and before.url.identity != url.identity:
            raise Failure(f"{directory} has another list, that of {before.url}")
        sequence = before.sequence
    synced = trio.run(partial(sync, url, _resolver(options), sequence=sequence, timeout=options.timeout))
    if options.json:
        write_json(_as_json(synced))
        return Exit.OK if synced.complete else Exit.FAILED
    ended = synced.ended
    if ended is None or ended.root is None or not ended.complete:
        raise Failure(f"the list could not be read completely, and nothing was written: {synced.problem or 'it is too large'}", Exit.FAILED)
    if ended.invalid:
        warn(f"{ended.invalid} entries make no sense and are left out, so that the list must be signed anew; the last: {synced.problem}")
    write_nodes(directory, synced.records)
    write_info(directory, TreeInfo(url, ended.root.sequence, ended.root.signature_text, tuple(synced.links)))
    write_fields({"directory": str(directory), **_numbers(len(synced.records), len(synced.links), ended.root.sequence)})
    return Exit.OK


def _resolver(options: argparse.Namespace) -> Resolver:
    try:
        from devp2p.discovery.dns import DnsResolver  # noqa: PLC0415  (needs a package that is not always installed)
    except ImportError:
        raise Failure("this needs the package dnspython: pip install 'trio-devp2p[dns]'") from None
    try:
        if options.server is None:
            return DnsResolver(timeout=options.timeout)
        host, port = options.server
        return DnsResolver([host], port=port, timeout=options.timeout)
    except LookupFailed as failure:
        raise Failure(str(failure), Exit.FAILED) from None


def _as_json(synced: Synced) -> dict[str, object]:
    root = None if synced.ended is None else synced.ended.root
    return {
        "status": "complete" if synced.complete else "incomplete",
        "url": str(synced.url),
        "seq": None if root is None else root.sequence,
        "signature": None if root is None else root.signature_text,
        "links": [str(link) for link in synced.links],
        "records": [record.text for record in synced.records],
        "problem": synced.problem or None,
    }


def _numbers(records: int, links: int, sequence: int) -> dict[str, str]:
    return {"records": str(records), "links": str(links), "sequence": str(sequence)}


# ------------------------------------------------------------------------------------------------------------------- sign and to-txt


def _sign(options: argparse.Namespace) -> int:
    path: Path = options.list
    in_directory = path.is_dir()
    if not in_directory and (options.domain is None or options.seq is None):
        raise Failure(f"{path} is no directory that says which domain and sequence number are next: add --domain and --seq")
    before = read_info(path) if in_directory else TreeInfo()
    records = read_nodes(path / NODES if in_directory else path)
    sequence = before.sequence + 1 if options.seq is None else options.seq
    domain = options.domain or (path.resolve().name if before.url is None else before.url.domain)
    try:
        tree = make_tree(records, before.links, sequence, read_key(options.key))
        url, texts = tree.url(domain), tree.to_txt(domain)
    except LocalProtocolError as error:
        raise Failure(str(error)) from None
    if not in_directory:
        write(format_json(texts))
        return Exit.OK
    write_info(path, TreeInfo(url, sequence, tree.root.signature_text, before.links))
    write_fields({"url": str(url), **_numbers(len(tree.records), len(tree.links), sequence)})
    return Exit.OK


def _to_txt(options: argparse.Namespace) -> int:
    info, records = read_info(options.directory), read_nodes(options.directory / NODES)
    if info.url is None or not info.signature:
        raise Failure(f"{options.directory} is not signed; sign it: devp2p dns sign {options.directory} --key FILE")
    try:
        tree = restore_tree(records, info.links, (info.sequence, info.signature), info.url.public_key)
        texts = tree.to_txt(info.url.domain)
    except DecodingError:
        raise Failure(f"{options.directory} was changed after it was signed; sign it again: devp2p dns sign {options.directory}") from None
    except LocalProtocolError as error:
        raise Failure(str(error)) from None
    if options.file is None:
        write(format_json(texts))
    else:
        write_texts(options.file, texts)
    return Exit.OK
