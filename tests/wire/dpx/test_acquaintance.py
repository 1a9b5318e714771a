"""What is kept of a peer: chains, their ages, what makes them end, and how they are written down."""

from hypothesis import given
from hypothesis import strategies as st

from devp2p.wire.dpx.acquaintance import MOST_LINEAGES, Acquaintance, decode, encode
from devp2p.wire.dpx.lineage import DAY, EXPIRY, SETTLED, Lineage
from devp2p.wire.dpx.sealing import id_of

S = [bytes([number]) * 32 for number in range(32)]


def resumed(kept: Acquaintance, secret: bytes, now: float) -> Acquaintance:
    """A session from what stands first in an offer, at whose end both sides keep `secret`."""
    lineage, generation = kept.offered()[0]
    return kept.resumed(lineage.root, generation, secret, now).confirmed(id_of(secret), now)


def test_a_chain_makes_known_when_it_is_a_day_old_and_not_before():
    kept = Acquaintance().started(S[0], 0.0).confirmed(id_of(S[0]), 0.0)
    early = resumed(kept, S[1], DAY - 1)
    assert not early.is_known
    late = resumed(early, S[2], DAY)
    assert late.is_known
    assert [one.number for one in late.lineages[0].generations] == [3]


def test_a_session_that_resumed_none_begins_a_second_chain_and_the_first_goes_a_day_after_that_is_known():
    kept = resumed(Acquaintance().started(S[0], 0.0).confirmed(id_of(S[0]), 0.0), S[1], DAY)
    kept = kept.started(S[2], DAY).confirmed(id_of(S[2]), DAY)
    assert [lineage.known for lineage in kept.lineages] == [True, False]
    assert kept.match([id_of(S[1])]), "the first one still counts"
    place = kept.lineages[1]
    kept = kept.resumed(place.root, place.generations[0], S[3], 2 * DAY)
    assert [lineage.known for lineage in kept.lineages] == [True, True]
    assert kept.lineages[0].ends == 3 * DAY
    assert [lineage.root for lineage in kept.current(3 * DAY).lineages] == [id_of(S[2])]
    old = kept.lineages[0]
    again = kept.resumed(old.root, old.generations[0], S[4], 2.5 * DAY)
    assert again.lineages[0].ends is None, "it is in use again"


def test_a_chain_expires_a_week_after_its_last_session():
    kept = Acquaintance().started(S[0], 0.0).confirmed(id_of(S[0]), 0.0)
    kept = resumed(kept, S[1], 2 * DAY)
    assert kept.current(2 * DAY + EXPIRY - 1).lineages
    assert not kept.current(2 * DAY + EXPIRY).lineages


def test_a_clock_that_was_ahead_keeps_nothing_for_longer_and_makes_nobody_known():
    ahead = Acquaintance().started(S[0], 100 * DAY).confirmed(id_of(S[0]), 100 * DAY)
    kept = ahead.current(DAY)
    assert kept.lineages[0].used == kept.lineages[0].born == DAY
    assert not resumed(kept, S[1], DAY + 10).is_known


def test_after_a_clock_that_was_ahead_a_chain_goes_on_with_new_secrets():
    kept = Acquaintance().started(S[0], 0.0).confirmed(id_of(S[0]), 0.0)
    (chain,) = kept.lineages
    kept = kept.resumed(chain.root, chain.generations[0], S[1], 100 * DAY)  # and the peer never heard of it
    for number, now in ((2, DAY), (3, DAY + SETTLED)):
        kept = kept.current(now)
        (chain,) = kept.lineages
        kept = kept.resumed(chain.root, chain.generations[0], S[number], now)
    assert kept.holds(S[3])


def test_after_a_clock_that_was_ahead_an_old_chain_ends_within_a_day():
    old, new = Lineage.begun(S[0], 0.0), Lineage.begun(S[1], 0.0)
    kept = Acquaintance((old, new)).resumed(new.root, new.generations[0], S[2], 100 * DAY)
    assert kept.lineages[0].ends == 101 * DAY
    assert [lineage.ends for lineage in kept.current(2 * DAY).lineages] == [3 * DAY, None]


def test_there_are_four_chains_at_most_and_when_one_is_confirmed_idle_ones_behind_the_first_go():
    kept = Acquaintance()
    for number in range(6):
        kept = kept.started(S[number], float(number))
    assert [lineage.root for lineage in kept.lineages] == [id_of(S[number]) for number in range(MOST_LINEAGES)]
    now = 2 * SETTLED
    last = kept.lineages[-1]
    kept = kept.resumed(last.root, last.generations[0], S[9], now).confirmed(id_of(S[9]), now)
    assert [lineage.root for lineage in kept.lineages] == [id_of(S[0]), id_of(S[3])]


def test_what_may_still_come_is_not_forgotten_when_the_peer_does_not_know_it():
    kept = Acquaintance().started(S[0], 0.0)
    assert kept.without({id_of(S[0])}, 1.0).lineages, "its end of that link may be behind ours"
    assert not kept.without({id_of(S[0])}, SETTLED).lineages
    assert kept.without({id_of(S[0])}, SETTLED, {id_of(S[0])}).lineages, "it was used again since"
    assert not kept.confirmed(id_of(S[0]), 0.0).without({id_of(S[0])}, 1.0).lineages


def test_a_doubted_peer_has_to_be_a_peer_for_another_day():
    kept = resumed(Acquaintance().started(S[0], 0.0).confirmed(id_of(S[0]), 0.0), S[1], DAY).doubted(DAY)
    assert not kept.is_known
    assert not resumed(kept, S[2], 2 * DAY - 1).is_known
    assert resumed(kept, S[2], 2 * DAY).is_known


times = st.integers(0, 2**31).map(float)


@st.composite
def acquaintances(draw: st.DrawFn) -> Acquaintance:
    kept = Acquaintance(unopened=tuple(draw(st.lists(times, max_size=3))), refused=draw(st.integers(0, 2)))
    for secret in draw(st.lists(st.sampled_from(S), max_size=3, unique=True)):
        kept = kept.started(secret, draw(times))
    for secret in draw(st.lists(st.binary(min_size=32, max_size=32), max_size=3)):
        if kept.lineages:
            lineage = draw(st.sampled_from(kept.lineages))
            kept = kept.resumed(lineage.root, draw(st.sampled_from(lineage.generations)), secret, draw(times))
    return kept


@given(acquaintances())
def test_what_is_kept_comes_back_as_it_was(kept: Acquaintance):
    assert decode(encode(kept)) == kept


@given(st.binary(min_size=32, max_size=32))
def test_no_text_shows_a_secret(secret: bytes):
    assert secret.hex() not in repr(Lineage.begun(secret, 0.0))
    assert repr(secret) not in repr(Lineage.begun(secret, 0.0))
