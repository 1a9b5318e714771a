"""What is remembered of strangers is bounded in number and in age, whatever they do, and what is due comes in its order."""

from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from devp2p.bounded import Recent, Timers

keys = st.integers(0, 9)


class RecentMachine(RuleBasedStateMachine):
    """Beside a list of all that was set and not displaced, in the order in which it goes: (key, value, when it was set)."""

    @initialize(size=st.integers(1, 5), lifetime=st.sampled_from([inf, 10.0, 1.0]))
    def begin(self, size: int, lifetime: float) -> None:
        self.recent: Recent[int, int | None] = Recent(size, lifetime)
        self.size, self.lifetime = size, lifetime
        self.now, self.values = 1000.0, 0
        self.model: list[tuple[int, int | None, float]] = []

    def known(self, key: int) -> int | None:
        return next((value for other, value, since in self.model if other == key and self.now - since < self.lifetime), None)

    def knows(self, key: int) -> bool:
        return any(other == key and self.now - since < self.lifetime for other, _, since in self.model)

    def there(self) -> list[int]:
        return [key for key, _, _ in self.model]

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 4.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys, is_bare=st.booleans())
    def set(self, key: int, is_bare: bool) -> None:  # noqa: FBT001  (hypothesis gives it)
        self.values += 1
        value = None if is_bare else self.values
        self.recent.set(key, value, self.now)
        self.model = [entry for entry in self.model if entry[0] != key] + [(key, value, self.now)]
        self.drop_old()
        self.model = self.model[-self.size :]

    @rule()
    def forget_old(self) -> None:
        self.recent.forget_old(self.now)
        self.drop_old()

    def drop_old(self) -> None:
        while self.model and self.now - self.model[0][2] >= self.lifetime:
            del self.model[0]

    @rule(key=keys)
    def touch(self, key: int) -> None:
        if key not in self.there():
            with pytest.raises(KeyError):
                self.recent.touch(key)
            return
        self.recent.touch(key)
        self.model.sort(key=lambda entry: entry[0] == key)  # stable

    @rule(key=keys)
    def pop(self, key: int) -> None:
        there = [entry for entry in self.model if entry[0] == key]
        assert self.recent.pop(key) == (there[0][1] if there else None)
        self.model = [entry for entry in self.model if entry[0] != key]

    @invariant()
    def it_knows_what_it_should(self) -> None:
        if not hasattr(self, "recent"):
            return
        for key in range(10):
            assert self.recent.get(key, self.now) == self.known(key)
            assert self.recent.has(key, self.now) is self.knows(key)
            assert self.recent.when(key) == next((since for other, _, since in self.model if other == key), None)
        assert len(self.recent) == len(self.model) <= self.size
        assert list(self.recent) == self.there()
        assert list(self.recent.items()) == [(key, value) for key, value, _ in self.model]
        assert self.recent.oldest() == (self.model[0][2] if self.model else None)


TestRecent = RecentMachine.TestCase


def test_a_lifetime_is_over_when_it_is_over():
    recent: Recent[bytes, None] = Recent(2, 10.0)
    recent.set(b"a", None, 5.0)
    assert recent.has(b"a", 14.999)
    assert not recent.has(b"a", 15.0)
    recent.set(b"a", None, 15.0)  # it lives anew
    assert recent.has(b"a", 24.0)


def test_without_a_lifetime_nobody_says_what_time_it_is():
    recent: Recent[str, int] = Recent(2)
    for number, key in enumerate("abc"):
        recent.set(key, number)
    assert [recent.get(key) for key in "abc"] == [None, 1, 2]


@dataclass(eq=False)
class Due:
    due: float | None = None


@given(
    st.lists(st.tuples(st.integers(0, 4), st.none() | st.integers(0, 20)), max_size=40),
    st.lists(st.integers(0, 25), min_size=1, max_size=5).map(sorted),
)
def test_timers_give_each_thing_when_it_is_due_and_only_once(settings, moments):
    timers: Timers[Due] = Timers()
    things = [Due() for _ in range(5)]
    for index, due in settings:
        if due is None:
            things[index].due = None  # called off
        else:
            timers.set(things[index], float(due))
    for now in moments:
        expected = sorted(thing.due for thing in things if thing.due is not None and thing.due <= now)
        assert timers.next() == min((thing.due for thing in things if thing.due is not None), default=None)
        dues = {thing: thing.due for thing in things}
        given_out = list(timers.due(float(now)))
        assert [dues[thing] for thing in given_out] == expected
        assert len(set(given_out)) == len(given_out)
        assert all(thing.due is None for thing in given_out)
