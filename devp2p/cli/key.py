"""``devp2p key``: make node keys, and see which node a key makes."""

import argparse
import string
import sys
from pathlib import Path

from devp2p.keys import PrivateKey
from devp2p.records import NodeRecord
from devp2p.terminal import (
    Exit,
    Failure,
    HelpFormatter,
    listen_address,
    parse_key,
    read_key,
    write_fields,
    write_json,
    write_key,
    write_text,
)

SUMMARY = "make a node key, or see which node a key makes"
DESCRIPTION = """\
A node key is the secret that a node is known by: its public half is in the
node's enode. As a file it is 64 hex digits, which other clients read, too
(`geth --nodekey`). A key file of ours that others can read is refused.
"""
EPILOG = """\
examples:
  devp2p key generate node.key
  devp2p key inspect node.key --listen 203.0.113.5:30303
"""
_EXITS = """\
exit codes:
  0  done
  1  the key could not be written
  2  wrong arguments, or no key where one should be
"""
_GENERATE = """\
Make a new node key. With FILE it is written there, for nobody else to read
(mode 0600); without, its 64 hex digits are printed.
"""
_GENERATE_EPILOG = f"""\
examples:
  devp2p key generate node.key
  devp2p key generate | devp2p key inspect -

{_EXITS}"""
_INSPECT = """\
Show the public key, the node ID and the enode that belong to a node key. The
secret itself is not shown.
"""
_INSPECT_EPILOG = f"""\
examples:
  devp2p key inspect node.key
  devp2p key inspect node.key --listen 203.0.113.5:30303 --json

{_EXITS}"""
_LONG_NAME = 32  # hex digits in a row that are more likely a key than a file's name


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    generate = commands.add_parser(
        "generate",
        help="make a new key",
        description=_GENERATE,
        epilog=_GENERATE_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    generate.add_argument("file", metavar="FILE", nargs="?", help="where to write the key")
    generate.add_argument("--force", action="store_true", help="replace FILE if it exists; the key in it is lost")
    generate.set_defaults(run=_generate)
    inspect = commands.add_parser(
        "inspect",
        help="show the public half of a key",
        description=_INSPECT,
        epilog=_INSPECT_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    inspect.add_argument(
        "key",
        metavar="FILE|HEX",
        help="a key file, - for stdin, or the 64 hex digits themselves (which your shell will remember, and other users may see)",
    )
    inspect.add_argument("--listen", metavar="ADDR", type=listen_address, help="where the node can be dialled, for its enode: HOST:PORT")
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    inspect.set_defaults(run=_inspect)


def _generate(options: argparse.Namespace) -> int:
    key = PrivateKey.generate()
    if options.file is None:
        write_text(bytes(key).hex())
    else:
        write_key(options.file, key, force=options.force)
        write_fields({"key file": options.file, **_names(NodeRecord(key.public_key))})
    return Exit.OK


def _inspect(options: argparse.Namespace) -> int:
    key = _find_key(options.key)
    addresses = () if options.listen is None else (options.listen,)
    if addresses and addresses[0].is_wildcard:
        raise Failure("an enode names one address that others can dial, and a wildcard is none: --listen HOST:PORT")
    record = NodeRecord(key.public_key, addresses)
    if options.json:
        write_json({"public_key": bytes(record.public_key).hex(), "id": record.id.hex(), "enode": record.enode})
    else:
        write_fields(_names(record))
    return Exit.OK


def _find_key(text: str) -> PrivateKey:
    if text == "-":
        key = parse_key(sys.stdin.read(1024))
        if key is None:
            raise Failure("there is no key on stdin: 64 hex digits are wanted")
        return key
    key = parse_key(text)
    if key is None and _looks_like_a_key(text) and not Path(text).exists():
        raise Failure(f"that is neither a file nor a key: it has {len(text.removeprefix('0x'))} hex digits, where 64 are wanted")
    return key or read_key(text)


def _looks_like_a_key(text: str) -> bool:
    """Whether `text` may be a mistyped secret, which no message should repeat."""
    digits = text.removeprefix("0x")
    return len(digits) > _LONG_NAME and all(digit in string.hexdigits for digit in digits)


def _names(record: NodeRecord) -> dict[str, str]:
    return {"public key": bytes(record.public_key).hex(), "node ID": record.id.hex(), "enode": record.enode}
