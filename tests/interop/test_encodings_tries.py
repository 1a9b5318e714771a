"""Ranges of tries with their proofs, honest ones and lies, judged here as by go-ethereum; and accounts as snap sends them."""

from collections import Counter

import pytest

from devp2p import DecodingError, rlp
from devp2p.capabilities.ethereum.tries import check_range, full_account, ordered_root, slim_account
from tests.interop.encodings import Line, data, printed

pytestmark = [pytest.mark.interop, pytest.mark.usefixtures("chaintool")]


def verdict(line: Line) -> bool | None:
    """Whether we say that there is more; None if we refuse the range."""
    leaves = [(data(key), data(value)) for key, value in line["leaves"]]
    try:
        return check_range(data(line["root"]), data(line["start"]), leaves, map(data, line["proof"] or ()))
    except DecodingError:
        return None


def test_ranges_are_judged_as_by_go_ethereum():
    counts = Counter[bool | None]()
    for line in printed()["range"]:
        theirs = None if line["fault"] else line["more"]
        assert verdict(line) == theirs, (line["name"], line["fault"])
        counts[theirs] += 1
    assert min(counts[True], counts[False], counts[None]) > 30


def test_the_leaves_of_a_whole_trie_have_its_root():
    whole = [line for line in printed()["range"] if line["name"] == "all without a proof"]
    for line in whole:
        assert ordered_root([(data(key), data(value)) for key, value in line["leaves"]]) == data(line["root"])
    assert len(whole) > 3


def test_accounts():
    for line in printed()["account"]:
        slim, full = data(line["slim"]), data(line["full"])
        assert (slim_account(full), full_account(slim)) == (slim, full)
        assert rlp.encode([line["nonce"], int(line["balance"]), data(line["root"]), data(line["codeHash"])]) == full
