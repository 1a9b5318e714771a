"""Which transactions a full pool keeps: chosen cases, attacks with their controls, and a machine that looks for a broken invariant."""

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from devp2p.capabilities.eth.pool.entries import Entry, Fault, Prices, Refusal
from devp2p.capabilities.eth.pool.ledger import Added, Ledger, LedgerLimits

LIMITS = LedgerLimits(count=12, size=2000, sender=8, guaranteed=2, futures=4, sender_futures=2, gap=3, bump=10)
RICH = 10**9
_numbers = itertools.count(1)


def entry(  # noqa: PLR0913
    sender: int, nonce: int, tip: int = 10, *, size: int = 100, cost: int = 1, fee: int | None = None
) -> Entry:
    name = next(_numbers).to_bytes(32, "big")
    return Entry(name, bytes([sender]) * 20, nonce, 2, size, cost, tip + 100 if fee is None else fee, tip)


def add(ledger: Ledger, new: Entry, nonce: int = 0, balance: int = RICH) -> Added:
    result = ledger.add(new, nonce, balance)
    assert isinstance(result, Added), result
    return result


def refused(ledger: Ledger, new: Entry, nonce: int = 0, balance: int = RICH) -> Fault:
    before = set(ledger), ledger.size, ledger.futures
    result = ledger.add(new, nonce, balance)
    assert isinstance(result, Refusal), result
    assert before == (set(ledger), ledger.size, ledger.futures)
    return result.fault


def full(ledger: Ledger, tip: int = 10) -> list[Entry]:
    """Fill a ledger with two of each sender."""
    entries = [entry(1 + number // 2, number % 2, tip) for number in range(ledger.limits.count)]
    for each in entries:
        add(ledger, each)
    return entries


def test_transactions_come_in_any_order_within_the_gap() -> None:
    ledger = Ledger(LIMITS)
    add(ledger, entry(1, 2))
    add(ledger, entry(1, 1))
    assert ledger.futures == 2
    assert refused(ledger, entry(1, 3)) is Fault.GAPPED  # two others wait
    assert refused(ledger, entry(2, 4)) is Fault.GAPPED  # too far behind what is missing
    add(ledger, entry(1, 0))
    assert ledger.futures == 0
    assert refused(ledger, entry(1, 0), nonce=1) is Fault.INVALID


@pytest.mark.parametrize("field", ["fee", "tip", "blob_fee"])
def test_a_replacement_pays_more_in_each_fee(field: str) -> None:
    ledger = Ledger(LIMITS)
    old = dataclasses.replace(entry(1, 0, 100, fee=100), blob_fee=100)
    add(ledger, old)
    enough = dataclasses.replace(old, hash=bytes(32), fee=110, tip=110, blob_fee=110)
    less: dict[str, Any] = {field: 109}
    assert refused(ledger, dataclasses.replace(enough, **less)) is Fault.CHEAP
    assert add(ledger, enough).replaced == old
    assert list(ledger) == [enough]
    assert refused(ledger, enough) is Fault.KNOWN


def test_one_sender_cannot_promise_more_than_it_has() -> None:
    """CVE-2022-23328: an account floods the pool with transactions of which it can pay one."""
    ledger, control = Ledger(LIMITS), Ledger(LIMITS)
    for nonce in range(3):
        add(ledger, entry(1, nonce, cost=30), balance=100)
        add(control, entry(1, nonce, cost=0), balance=100)  # as if the others were not counted
    assert refused(ledger, entry(1, 3, cost=30), balance=100) is Fault.POOR
    add(control, entry(1, 3, cost=0), balance=100)
    assert refused(ledger, entry(1, 0, 50, cost=41), balance=100) is Fault.POOR  # nor by a replacement
    add(ledger, entry(1, 0, 50, cost=40), balance=100)


def test_futures_drive_out_nobody_who_can_be_executed() -> None:
    """CVE-2022-23327: transactions behind a gap, which pay much and will never have to."""
    ledger = Ledger(LIMITS)
    honest = full(ledger)
    for sender in range(100, 150):
        assert refused(ledger, entry(sender, 1, 1000)) in {Fault.FULL, Fault.CHEAP}
    assert set(ledger) == set(honest)
    add(ledger, entry(200, 0, 1000))  # control: the same with the nonce that is next, and so a price, does
    assert set(ledger) != set(honest)


def test_futures_go_first_and_the_cheapest_of_them() -> None:
    ledger = Ledger(LIMITS)
    futures = [entry(sender, 1, tip) for sender, tip in ((1, 50), (2, 20), (3, 30))]
    for each in futures:
        add(ledger, each)
    for sender in range(10, 19):
        add(ledger, entry(sender, 0, 5))
    assert len(ledger) == LIMITS.count
    assert add(ledger, entry(30, 0, 5)).displaced == (futures[1],)
    assert add(ledger, entry(31, 1, 40)).displaced == (futures[2],)  # a future may do so to one that pays less
    assert refused(ledger, entry(32, 1, 40)) is Fault.FULL


def test_a_full_pool_gives_up_the_last_of_whoever_pays_least() -> None:
    ledger = Ledger(LIMITS)
    honest = full(ledger)
    assert refused(ledger, entry(99, 0, 10)) is Fault.CHEAP
    add(ledger, entry(99, 0, 11))
    (gone,) = set(honest) - set(ledger)
    assert gone.nonce == 1  # no gap arises
    assert ledger.futures == 0


def test_a_rich_child_of_a_poor_parent_is_worth_what_the_parent_is() -> None:
    loose = dataclasses.replace(LIMITS, guaranteed=100)
    ledger, control = Ledger(loose), Ledger(loose)
    for each, parent in ((ledger, 5), (control, 100)):
        add(each, entry(99, 0, parent))
        for sender in range(loose.count - 1):
            add(each, entry(sender, 0, 10))
    assert refused(ledger, entry(99, 1, 10**6)) is Fault.CHEAP
    add(control, entry(99, 1, 10**6))


def test_one_sender_cannot_take_the_guaranteed_places_of_others() -> None:
    ledger = Ledger(LIMITS)
    honest = full(ledger)
    add(ledger, entry(99, 0, 1000))
    add(ledger, entry(99, 1, 1000))
    assert refused(ledger, entry(99, 2, 1000)) is Fault.CHEAP
    loose = Ledger(dataclasses.replace(LIMITS, guaranteed=100))  # control: no guarantee
    full(loose)
    for nonce in range(8):
        add(loose, entry(99, nonce, 1000))
    assert len(set(honest) & set(ledger)) == LIMITS.count - 2


def test_one_that_is_refused_has_driven_out_nobody() -> None:
    ledger = Ledger(LIMITS)
    add(ledger, entry(1, 0, 5, size=100))
    for sender in range(2, 6):
        add(ledger, entry(sender, 0, 20, size=450))
    assert refused(ledger, entry(9, 0, 10, size=500)) is Fault.CHEAP
    assert len(add(ledger, entry(9, 0, 30, size=500)).displaced) == 2


def test_a_new_head_takes_out_what_is_included_or_impossible() -> None:
    ledger = Ledger(LIMITS)
    entries = [entry(1, nonce, cost=10) for nonce in range(5)]
    for each in entries:
        add(ledger, each)
    assert ledger.update(bytes([1]) * 20, 2, RICH) == entries[:2]
    assert ledger.update(bytes([1]) * 20, 2, 25) == [entries[4]]  # the last first
    assert ledger.update(bytes([1]) * 20, 0, RICH) == []  # a head on another branch: they wait for what is missing
    assert ledger.futures == 2
    assert ledger.update(bytes([1]) * 20, 9, RICH) == entries[2:4]
    assert (len(ledger), ledger.size, ledger.futures, ledger.senders()) == (0, 0, 0, ())


def test_the_base_fee_decides_what_a_transaction_is_worth() -> None:
    ledger = Ledger(dataclasses.replace(LIMITS, count=2))
    low, high = entry(1, 0, 90, fee=100), entry(2, 0, 20, fee=1000)
    add(ledger, low)
    add(ledger, high)
    ledger.prices = Prices(95)
    for each in (low, high):
        ledger.update(each.sender, 0, RICH)
    assert add(ledger, entry(3, 0, 10, fee=1000)).displaced == (low,)


class LedgerMachine(RuleBasedStateMachine):
    """Any transactions, any accounts, any heads; after each step everything adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(LIMITS)
        self.accounts = {bytes([sender]) * 20: (0, 100) for sender in range(6)}

    @rule(sender=st.integers(0, 5), nonce=st.integers(0, 6), tip=st.integers(0, 30), size=st.integers(1, 900), cost=st.integers(0, 40))
    def add(self, sender: int, nonce: int, tip: int, size: int, cost: int) -> None:
        new = entry(sender, nonce, tip, size=size, cost=cost, fee=tip + 20)
        before = set(self.ledger)
        result = self.ledger.add(new, *self.accounts[new.sender])
        if isinstance(result, Refusal):
            assert set(self.ledger) == before
            return
        gone = {*result.displaced, *((result.replaced,) if result.replaced else ())}
        assert set(self.ledger) == before - gone | {new}
        if result.displaced and nonce > self.ledger.queue(new.sender).missing:  # type: ignore[union-attr]
            assert all(victim.worth(self.ledger.prices) < tip for victim in result.displaced)

    @rule(sender=st.integers(0, 5), nonce=st.integers(0, 7), balance=st.integers(0, 200), base_fee=st.integers(0, 40))
    def head(self, sender: int, nonce: int, balance: int, base_fee: int) -> None:
        self.ledger.prices = Prices(base_fee)
        address = bytes([sender]) * 20
        self.accounts[address] = (nonce, balance)
        for each, (its, funds) in self.accounts.items():
            before = {one for one in self.ledger if one.sender == each}
            gone = self.ledger.update(each, its, funds)
            assert {one for one in self.ledger if one.sender == each} == before - set(gone)

    @rule(which=st.integers(0, 11))
    def remove(self, which: int) -> None:
        entries = list(self.ledger)
        if which < len(entries):
            assert self.ledger.remove(entries[which].hash) == entries[which]

    @invariant()
    def everything_is_within_its_bounds(self) -> None:
        ledger, entries = self.ledger, list(self.ledger)
        assert len(entries) <= LIMITS.count
        assert ledger.size == sum(each.size for each in entries) <= LIMITS.size
        futures = 0
        for sender in ledger.senders():
            own = {each.nonce: each for each in entries if each.sender == sender}
            queue = ledger.queue(sender)
            assert queue is not None
            assert queue.entries == own
            nonce, balance = self.accounts[sender]
            assert min(own) >= nonce
            assert queue.cost == sum(each.cost for each in own.values()) <= balance
            assert len(own) <= LIMITS.sender
            missing = next(number for number in itertools.count(nonce) if number not in own)
            assert queue.missing == missing
            waiting = [number for number in own if number > missing]
            futures += len(waiting)
        assert ledger.futures == futures
        assert {each.sender for each in entries} == set(ledger.senders())


LedgerMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestLedger = LedgerMachine.TestCase
