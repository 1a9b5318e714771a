"""Fuzz targets for the entries of node lists in DNS."""

from typing import Final

from devp2p.discovery.dns.tree import ROOT_PREFIX, Branch, Root, TreeUrl, parse_entry
from devp2p.errors import DecodingError
from devp2p.records.enr import Record
from tests.fuzz.discovery_targets import check_refusal

_PREFIXES: Final = ("", "enrtree-branch:", "enrtree://", "enr:")


def fuzz_dns_entry(data: bytes) -> None:
    # Invariant: any text is refused as DecodingError, or is the one text of what it says.
    text = data.decode("utf-8", "surrogateescape")
    for prefix in _PREFIXES:
        try:
            entry = parse_entry(prefix + text)
        except DecodingError as error:
            check_refusal(error)
        else:
            assert isinstance(entry, Branch | TreeUrl | Record)
            assert entry.text == prefix + text


def fuzz_dns_root(data: bytes) -> None:
    # Invariant: any text is refused as DecodingError, or can be written again so that the same is signed.
    text = data.decode("utf-8", "surrogateescape")
    for candidate in (text, f"{ROOT_PREFIX} {text}"):
        try:
            root = Root.parse(candidate)
        except DecodingError as error:
            check_refusal(error)
        else:
            assert root.text.rpartition(" ")[0] == candidate.rpartition(" ")[0]
            assert Root.parse(root.text) == root
