"""Intrinsic gas by forks: figures of go-ethereum v1.17.8, core/state_transition_test.go, and of the EIPs."""

from typing import Any

import pytest

from devp2p.capabilities.ethereum.blocks import AccessList, Authorization, Fork, Transaction, address_of
from devp2p.capabilities.ethereum.blocks.gas import floor_gas, intrinsic_gas
from tests.capabilities.blocks.shapes import KEY

ONE, TWO = b"\x11" * 20, b"\x22" * 20
LIST: AccessList = ((ONE, (b"a" * 32, b"b" * 32)), (TWO, (b"a" * 32,)))
SHORT: AccessList = ((ONE, (b"a" * 32,)),)
AUTHORIZATION = Authorization(chain_id=1, address=ONE, nonce=0)


def transaction(kind: int = 2, **fields: Any) -> Transaction:
    values: dict[str, Any] = {"to": ONE} | fields
    return Transaction(type=kind, chain_id=1, **values).signed(KEY)


@pytest.mark.parametrize(
    ("fork", "fields", "gas"),
    [
        (Fork.FRONTIER, {}, 21_000),
        (Fork.FRONTIER, {"to": None}, 21_000),
        (Fork.HOMESTEAD, {"to": None}, 53_000),
        (Fork.HOMESTEAD, {"data": b"\xff" * 100}, 21_000 + 6_800),
        (Fork.ISTANBUL, {"data": b"\xff" * 100}, 21_000 + 1_600),
        (Fork.ISTANBUL, {"data": bytes(100)}, 21_000 + 400),
        (Fork.ISTANBUL, {"data": bytes(50) + b"\xff" * 50}, 21_000 + 200 + 800),
        (Fork.LONDON, {"to": None, "data": bytes(64)}, 53_000 + 256),
        (Fork.SHANGHAI, {"to": None, "data": bytes(64)}, 53_000 + 256 + 4),
        (Fork.SHANGHAI, {"to": None, "data": bytes(33)}, 53_000 + 132 + 4),
        (Fork.BERLIN, {"access_list": LIST}, 21_000 + 2 * 2_400 + 3 * 1_900),
        (Fork.AMSTERDAM, {"access_list": LIST}, 15_000 + 2 * 2_900 + 3 * 2_000 + 2 * 1_280 + 3 * 2_048),
        (Fork.PRAGUE, {"kind": 4, "authorizations": (AUTHORIZATION,) * 3}, 21_000 + 75_000),
        (Fork.AMSTERDAM, {"to": None}, 24_000),
        (Fork.AMSTERDAM, {"to": None, "data": bytes(64)}, 24_000 + 256 + 4),
        (Fork.AMSTERDAM, {"to": None, "data": b"\xff" * 32, "access_list": SHORT}, 24_000 + 512 + 2 + 2_900 + 2_000 + 1_280 + 2_048),
        (Fork.AMSTERDAM, {"value": 1}, 21_000),
        (Fork.AMSTERDAM, {"value": 1, "to": address_of(KEY)}, 12_000),
        (Fork.AMSTERDAM, {"value": 1, "to": None}, 24_000),
        (
            Fork.AMSTERDAM,
            {"kind": 4, "data": b"\xff" * 100, "access_list": SHORT, "authorizations": (AUTHORIZATION,)},
            15_000 + 1_600 + 2_900 + 2_000 + 1_280 + 2_048 + 7_816,
        ),
    ],
)
def test_intrinsic_gas(fork: Fork, fields: Any, gas: int) -> None:
    assert intrinsic_gas(transaction(**fields), address_of(KEY), fork) == gas


@pytest.mark.parametrize(
    ("fork", "fields", "gas"),
    [
        (Fork.CANCUN, {"data": b"\xff" * 100}, 0),
        (Fork.PRAGUE, {}, 21_000),
        (Fork.PRAGUE, {"data": bytes(100)}, 22_000),
        (Fork.PRAGUE, {"data": b"\xff" * 100}, 25_000),
        (Fork.PRAGUE, {"data": bytes(50) + b"\xff" * 50}, 23_500),
        (Fork.PRAGUE, {"data": b"\xff" * 10, "access_list": LIST}, 21_400),
        (Fork.AMSTERDAM, {"to": address_of(KEY)}, 12_000),
        (Fork.AMSTERDAM, {"to": address_of(KEY), "data": bytes(1024)}, 12_000 + 65_536),
        (Fork.AMSTERDAM, {"to": address_of(KEY), "data": b"\xff" * 1024}, 12_000 + 65_536),
        (Fork.AMSTERDAM, {"to": address_of(KEY), "access_list": ((ONE, ()), (TWO, ()))}, 12_000 + 2 * 1_280),
        (Fork.AMSTERDAM, {"to": address_of(KEY), "data": b"\xff" * 100, "access_list": LIST}, 12_000 + 944 * 16),
    ],
)
def test_the_floor_of_data(fork: Fork, fields: Any, gas: int) -> None:
    assert floor_gas(transaction(**fields), address_of(KEY), fork) == gas


def test_that_the_greater_of_both_binds() -> None:
    data = transaction(data=b"\xff" * 100)
    assert (data.intrinsic_gas(Fork.CANCUN), data.intrinsic_gas(Fork.PRAGUE)) == (22_600, 25_000)
    created = transaction(to=None, data=b"\xff" * 100)
    assert created.intrinsic_gas(Fork.PRAGUE) == intrinsic_gas(created, b"", Fork.PRAGUE) == 54_608


def test_forks_by_the_names_of_their_upgrades() -> None:
    active = {"homestead", "eip150", "eip155", "byzantium", "istanbul", "berlin", "london", "mergeNetsplit", "shanghai", "bpo1"}
    assert Fork.among(active.__contains__) is Fork.SHANGHAI
    assert Fork.among({"homestead", "eip150", "eip155"}.__contains__) is Fork.SPURIOUS_DRAGON
    assert Fork.among(lambda _: False) is Fork.FRONTIER
    assert Fork.among(lambda _: True) is Fork.AMSTERDAM
