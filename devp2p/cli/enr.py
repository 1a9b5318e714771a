"""``devp2p enr``: see what a node's record says, and sign one (EIP-778)."""

import argparse
import string
import sys
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address

from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.records import NodeRecord, Record
from devp2p.terminal import Exit, Failure, HelpFormatter, count, read_key, write_fields, write_json, write_text

SUMMARY = "read and sign node records"
DESCRIPTION = """\
A node record (ENR, EIP-778) is what a node says about itself, signed by its
key: where it is, and what it can do.
"""
EPILOG = """\
examples:
  devp2p enr show enr:-IS4QHCYrYZbAKW...
  devp2p enr sign --key node.key --ip 203.0.113.5 --tcp 30303 --udp 30303
"""
_EXITS = """\
exit codes:
  0  done
  2  wrong arguments, no key where one should be, or no valid record
"""
_SHOW = """\
Verify a record and show what it says. Keys that the specification knows are
shown by their meaning; the values of all others as the RLP that they are, in
hex.
"""
_SHOW_EPILOG = f"""\
examples:
  devp2p enr show enr:-IS4QHCYrYZbAKW...
  devp2p enr show - --json < record.txt

{_EXITS}"""
_SIGN = """\
Sign a record and print it. A node's records are told apart by their sequence
numbers: others take only one with a higher number than they know.
"""
_SIGN_EPILOG = f"""\
examples:
  devp2p enr sign --key node.key --ip 203.0.113.5 --tcp 30303 --udp 30303
  devp2p enr sign --key node.key --seq 7 --ip6 2001:db8::5 --udp6 30303 --set eth=c7c684fc64ec0480

{_EXITS}"""
_PORTS = ("tcp", "udp", "tcp6", "udp6")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = partial(commands.add_parser, formatter_class=HelpFormatter, allow_abbrev=False)

    show = add("show", help="show what a record says", description=_SHOW, epilog=_SHOW_EPILOG)
    show.add_argument("record", metavar="ENR|-", help="the record (enr:...), or - for stdin")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.set_defaults(run=_show)

    sign = add("sign", help="sign a record", description=_SIGN, epilog=_SIGN_EPILOG)
    sign.add_argument("--key", metavar="FILE", required=True, help="the node's key, as `devp2p key generate` makes it")
    sign.add_argument("--seq", metavar="N", type=count, default=1, help="the sequence number (default: 1)")
    sign.add_argument("--ip", metavar="IP", type=partial(_address, 4), help="the node's IPv4 address")
    sign.add_argument("--ip6", metavar="IP", type=partial(_address, 6), help="the node's IPv6 address")
    for name in _PORTS:
        what = "takes sessions" if name.startswith("tcp") else "takes part in discovery"
        where = ", at the IPv6 address, if it is another" if name.endswith("6") else ""
        sign.add_argument(f"--{name}", metavar="PORT", type=_port, help=f"the port where it {what}{where}")
    sign.add_argument(
        "--set",
        metavar="KEY=HEX",
        action="append",
        type=_entry,
        default=[],
        help="another key, and its value as RLP in hex; can be repeated",
    )
    sign.set_defaults(run=_sign)


def _address(version: int, text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version:
        raise argparse.ArgumentTypeError(f"an IPv{version} address is wanted, not {text!r}")
    return address


def _port(text: str) -> int:
    port = count(text)
    if not 0 < port < 2**16:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text}")
    return port


def _entry(text: str) -> tuple[str, bytes]:
    key, equals, value = text.partition("=")
    value = value.removeprefix("0x")
    if not key or not equals or not value or len(value) % 2 or set(value) - set(string.hexdigits):
        raise argparse.ArgumentTypeError(f"a key and the RLP of its value in hex are wanted, as in eth=c0, not {text!r}")
    return key, bytes.fromhex(value)


def _show(options: argparse.Namespace) -> int:
    text = sys.stdin.read(1024) if options.record == "-" else options.record
    try:
        record = Record.parse(text.strip())
    except DecodingError as error:
        raise Failure(f"that is no valid record: {error}") from None
    shown, others = _describe(record), _others(record)
    if options.json:
        write_json({**shown, "entries": others})
    else:
        write_fields({name.replace("_", " "): str(value) for name, value in {**shown, **others}.items() if value is not None})
    return Exit.OK


def _describe(record: Record) -> dict[str, object]:
    """What a record says by the keys that have a meaning here."""
    known: dict[str, object] = {"ip": _text(record.ip), "ip6": _text(record.ip6)}
    known |= {name: getattr(record, name) if name.encode() in record.entries else None for name in _PORTS}
    return {
        "id": record.id.hex(),
        "public_key": bytes(record.public_key).hex(),
        "seq": record.sequence,
        **known,
        "enode": NodeRecord.from_enr(record).enode,
        "enr": record.text,
    }


def _others(record: Record) -> dict[str, str]:
    """The keys that have none, and their values as hex."""
    names = {key.decode("latin-1"): value.hex() for key, value in record.entries.items()}
    return {name: value for name, value in names.items() if name not in {"id", "secp256k1", "ip", "ip6", *_PORTS}}


def _text(address: IPv4Address | IPv6Address | None) -> str | None:
    return None if address is None else str(address)


def _sign(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in ("ip", "ip6", *_PORTS)}
    entries: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    try:
        record = Record.sign(read_key(options.key), options.seq, entries | dict(options.set))
    except LocalProtocolError as error:
        raise Failure(str(error)) from None
    write_text(record.text)
    return Exit.OK
