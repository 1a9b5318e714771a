"""Dumps are read account by account, in whatever pieces they come; what is no dump is refused, and nothing else happens."""

from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p import keccak256
from devp2p.capabilities.ethereum.store import Misfit
from devp2p.capabilities.ethereum.store.dumps import Dump, DumpedAccount
from tests.capabilities.chains import build_chain

CHAIN = build_chain(2, 1, accounts=2, slots=3)
TEXTS = [CHAIN.dump(lines=lines, hashed=hashed) for lines in (False, True) for hashed in (False, True)]


class Pieces:
    """Text of which a reader gets a few characters at a time."""

    def __init__(self, text: str, size: int) -> None:
        self.text = text
        self.size = size

    def read(self, _: int) -> str:
        piece, self.text = self.text[: self.size], self.text[self.size :]
        return piece


def accounts(text: str, size: int) -> list[DumpedAccount]:
    return list(Dump(Pieces(text, size)).accounts())


@settings(max_examples=25)
@given(text=st.sampled_from(TEXTS), size=st.one_of(st.integers(7, 300), st.just(10**6)))
def test_the_pieces_make_no_difference(text: str, size: int):
    state = CHAIN.head.state
    found = {account.key: account for account in accounts(text, size)}
    assert found.keys() == {keccak256(address) for address in state}
    for address, holding in state.items():
        account = found[keccak256(address)]
        assert (account.nonce, account.balance, account.storage_root) == (holding.nonce, holding.balance, holding.storage_root)
        assert (account.code or b"", list(account.storage)) == (holding.code, holding.leaves)


@settings(max_examples=40)
@given(
    text=st.sampled_from(TEXTS),
    at=st.floats(0, 1),
    length=st.integers(0, 40),
    new=st.one_of(st.text(max_size=6), st.sampled_from(["{", "}", '"', ",", "null", "1e9", "NaN", "-", "\\u12", "[]", "9" * 4400])),
)
def test_what_is_no_dump_is_refused_and_nothing_else(text: str, at: float, length: int, new: str):
    start = int(at * len(text))
    try:
        found = accounts(text[:start] + new + text[start + length :], 1000)
    except Misfit:
        return
    assert all(len(account.key) == 32 for account in found)
