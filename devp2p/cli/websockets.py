"""The options of commands for WebSockets: certificates of ``wss``, who is trusted, and which pages may connect."""

import argparse
from typing import Any, Protocol
from urllib.parse import urlsplit

from devp2p.addresses import Address
from devp2p.terminal import Failure, explain
from devp2p.transports import Transport, transport_with, why_not_installed

_NAMED = ("certificate", "private_key", "origin", "authorities")
_SECURE, _PLAIN = "wss", "ws"


class _Options(Protocol):
    """A parser, or a group of its options."""

    def add_argument(self, *names: str, **how: Any) -> argparse.Action:  # noqa: ANN401  (as argparse has it)
        """See `argparse`."""
        ...


def add_serving(parser: _Options) -> None:
    """Add the options for nodes that listen."""
    parser.add_argument(
        "--certificate",
        metavar="FILE",
        help="for --listen wss://: the certificate to show, in PEM, with those between it and its authority behind it",
    )
    parser.add_argument("--private-key", metavar="FILE", help="the private key of the --certificate, in PEM and without a passphrase")
    parser.add_argument(
        "--origin",
        metavar="URL",
        action="append",
        type=_origin,
        default=[],
        help="let pages of this origin, such as https://example.org, connect by ws or wss, or of any origin with * (default: no page); "
        "can be repeated",
    )


def add_authorities(parser: _Options) -> None:
    """Add the option for those who dial."""
    parser.add_argument(
        "--authorities",
        metavar="FILE",
        help="trust these authorities for wss, too, in PEM (default: those that the system trusts)",
    )


def websockets(options: argparse.Namespace) -> tuple[Transport, ...]:
    """The transport that the options ask for, in the place of the usual one; none if they say nothing.

    Failure for files that are not there or are something else, for options that do not fit each other, and where packages are missing.
    """
    given = {name: value for name in _NAMED if (value := getattr(options, name, None))}
    _check(given, getattr(options, "listen", None) or ())
    if not given:
        return ()
    if (missing := why_not_installed(_SECURE)) is not None:
        raise Failure(f"--{next(iter(given)).replace('_', '-')} {missing}")
    try:
        return (
            transport_with(
                _SECURE,
                getattr(options, "proxy", None),
                certificate=given.get("certificate"),
                private_key=given.get("private_key"),
                authorities=given.get("authorities"),
                origins=given.get("origin", ()),
            ),
        )
    except OSError as error:
        raise Failure(f"cannot read {error.filename or ' or '.join(map(str, given.values()))}: {explain(error)}") from None
    except ValueError as error:
        raise Failure(str(error)) from None


def _check(given: dict[str, object], listen: tuple[Address, ...] | list[Address]) -> None:
    schemes = {address.scheme for address in listen}
    shows = "certificate" in given or "private_key" in given
    if shows and not ("certificate" in given and "private_key" in given):
        raise Failure("--certificate and --private-key go together: give both files")
    if shows and _SECURE not in schemes:
        raise Failure("--certificate and --private-key are for listening by wss: add --listen wss://HOST:PORT")
    if _SECURE in schemes and not shows:
        raise Failure(
            "to listen for wss takes a certificate for the name by which others know this host: add --certificate FILE and "
            "--private-key FILE, or --listen ws://HOST:PORT behind a web server that has them"
        )
    if "origin" in given and not schemes & {_PLAIN, _SECURE}:
        raise Failure("--origin lets pages connect by ws or wss: add --listen ws://HOST:PORT or wss://HOST:PORT")


def _origin(text: str) -> str:
    if text == "*":
        return text
    wanted = "as browsers write it, such as https://example.org or http://localhost:8080, or * for all"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no origin {wanted}") from None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    expected = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}"
    if not parts.scheme or not parts.hostname or text.lower() != expected:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no origin {wanted}: without a path, a user or a slash at its end")
    if port is not None and port == {"http": 80, "https": 443}.get(parts.scheme):
        raise argparse.ArgumentTypeError(f"browsers leave out the usual port: write {text.rpartition(':')[0]}")
    return expected
