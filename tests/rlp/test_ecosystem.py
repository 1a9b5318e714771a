"""Classes of the `rlp` package inside of our schemas."""

import subprocess
import sys
from dataclasses import dataclass

import pytest
import rlp as package
from rlp import sedes

from devp2p import rlp
from devp2p.errors import DecodingError, LocalProtocolError


class Account(package.Serializable):  # type: ignore[misc] # the package has no types
    fields = (("nonce", sedes.big_endian_int), ("root", sedes.Binary.fixed_length(4)), ("name", sedes.text))


class Group(package.Serializable):  # type: ignore[misc] # the package has no types
    fields = (("accounts", sedes.CountableList(Account)),)


class Fussy(package.Serializable):  # type: ignore[misc] # the package has no types
    fields = (("number", sedes.big_endian_int),)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        {}[self.number]


@dataclass(frozen=True)
class Holder:
    number: rlp.U64
    account: Account
    group: Group
    many: tuple[Account, ...] = ()


ALICE, BOB = Account(1, b"root", "alice"), Account(2, b"toor", "bob")


def test_there_and_back():
    value = Holder(7, ALICE, Group([ALICE, BOB]), (BOB, ALICE))
    codec = rlp.codec(Holder)
    encoding = codec.encode(value)
    assert encoding == package.encode([7, ALICE, Group([ALICE, BOB]), [BOB, ALICE]])
    assert codec.decode(encoding) == value
    assert codec.encode(codec.decode(encoding)) == encoding
    assert rlp.codec(Account).decode(package.encode(ALICE)) == ALICE
    assert rlp.codec(rlp.Lazy[Account]).decode(rlp.codec(tuple[Account, ...]).encode((ALICE, BOB)))[1] == BOB


@pytest.mark.parametrize(
    "account",
    [
        [],
        [1, b"root"],
        [1, b"root", "a", 5],
        [1, b"long root", "a"],
        [b"\x00\x01", b"root", "a"],
        [1, b"root", b"\xff"],
        [[5], b"root", "a"],
        b"",
    ],
)
def test_its_errors_are_ours(account):
    with pytest.raises(DecodingError, match=r"Holder\.account: Account"):
        rlp.codec(Holder).decode(rlp.encode([7, account, [[]]]))


def test_errors_of_its_classes_are_ours_too():
    with pytest.raises(DecodingError, match="Fussy"):
        rlp.codec(Fussy).decode(b"\xc1\x05")


def test_it_never_sees_what_is_too_deep_or_too_much():
    deep: list[rlp.Encodable] = []
    for _ in range(200):
        deep = [deep]
    with pytest.raises(DecodingError, match="deeper"):
        rlp.codec(Group).decode(rlp.encode(deep))
    with pytest.raises(DecodingError, match="more items"):
        rlp.codec(Group).decode(rlp.encode([[b""] * 70_000]))


@pytest.mark.parametrize("value", [Account(-1, b"root", "a"), Account(1, b"r", "a"), Account(1, b"root", 5), BOB.name, None, Group([])])
def test_values_that_do_not_fit_are_our_fault(value):
    with pytest.raises(LocalProtocolError, match=r"Holder\.account"):
        rlp.codec(Holder).encode(Holder(7, value, Group([])))


def test_it_is_not_imported_by_itself():
    program = "import sys, devp2p.rlp as r; r.codec(tuple[int, ...]); assert 'rlp' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=".")
