"""Delays between dials grow, start anew after a session that lasted, and leave a busy peer alone for long enough."""

from functools import partial

from devp2p import DialError, DisconnectReason, PeerDisconnected
from devp2p.peers.backoff import Backoff

REFUSED = DialError("refused", target=None)
BUSY = DialError("full", target=None, reason=DisconnectReason.TOO_MANY_PEERS)
QUIT = PeerDisconnected(DisconnectReason.CLIENT_QUITTING, by_remote=True)
FULL = PeerDisconnected(DisconnectReason.TOO_MANY_PEERS, by_remote=True)


def test_delays_double_up_to_35_seconds() -> None:
    backoff = Backoff(lambda: 0.5)
    assert [backoff.failed(REFUSED) for _ in range(7)] == [2, 4, 8, 16, 32, 35, 35]


def test_delays_are_spread_by_a_fifth_to_both_sides() -> None:
    for chance, first in ((0.0, 1.6), (1.0, 2.4)):
        assert abs(Backoff(partial(float, chance)).failed(REFUSED) - first) < 1e-9


def test_a_busy_peer_is_left_alone_for_at_least_30_seconds_whatever_chance_says() -> None:
    for chance, least, most in ((0.0, 30, 30), (0.5, 33, 33), (1.0, 36, 36)):
        for delay in (Backoff(partial(float, chance)).failed(BUSY), Backoff(partial(float, chance)).ended(FULL, 0.1)):
            assert least <= delay <= most + 1e-9


def test_a_session_that_lasted_starts_the_delays_anew_and_a_short_one_does_not() -> None:
    backoff = Backoff(lambda: 0.5)
    for _ in range(5):
        backoff.failed(REFUSED)
    assert backoff.ended(QUIT, 59.9) == 35
    assert backoff.ended(QUIT, 60.0) == 2
    assert backoff.ended(QUIT, 1.0) == 4
