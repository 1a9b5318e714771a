"""A toy extension between two sides of a handshake: what it remembers, whatever others put into the packets."""

from collections.abc import Sequence

from hypothesis import given, settings

from devp2p.keys import PublicKey
from devp2p.wire.rlpx.extension import Extension
from devp2p.wire.rlpx.handshake import Handshake
from devp2p.wire.rlpx.packets import Ack, Auth
from tests.wire.handshakes import KEY_A, KEY_B, A, B, Meeting, assert_agreed, fresh
from tests.wire.remembering import Remembering, find, snapshot
from tests.wire.test_extension import ITEMS, told


class Among(Extension):
    """An extension whose elements stand among those of others."""

    def __init__(self, extension: Extension, before: Sequence[bytes], after: Sequence[bytes]) -> None:
        self.extension, self.before, self.after = extension, before, after
        self.proved, self.failed = extension.proved, extension.failed  # type: ignore[method-assign]

    def offer(self, remote: PublicKey, auth: Auth) -> Sequence[bytes]:
        return [*self.before, *self.extension.offer(remote, auth), *self.after]

    def answer(self, remote: PublicKey, auth: Auth, ack: Ack) -> Sequence[bytes]:
        return [*self.before, *self.extension.answer(remote, auth, ack), *self.after]


def is_foreign(elements: Sequence[bytes]) -> bool:
    return find(tuple(elements)) is None


@given(ITEMS.filter(is_foreign), ITEMS)
@settings(max_examples=20, deadline=None)
def test_what_others_put_before_and_after_changes_nothing(before: tuple[bytes, ...], after: tuple[bytes, ...]) -> None:
    one, other = Remembering(1), Remembering(2)
    for _ in range(3):
        Meeting(Among(one, before, after), Among(other, after if is_foreign(after) else (), before)).prove()
    assert one.peers[B].meetings == other.peers[A].meetings == ["new", "known", "known"]
    assert one.peers[B].secret == other.peers[A].secret


# What it remembers


def test_who_meets_again_is_known_and_the_secret_changes_each_time() -> None:
    one, other = Remembering(1), Remembering(2)
    met: list[bytes] = []
    for _ in range(5):
        Meeting(one, other).prove()
        assert one.peers[B].secret == other.peers[A].secret
        met.append(one.peers[B].secret)
    assert len(set(met)) == 5
    assert one.peers[B].meetings == other.peers[A].meetings == ["new", "known", "known", "known", "known"]
    assert one.pending == other.pending == {}


def test_either_side_may_call() -> None:
    one, other = Remembering(1), Remembering(2)
    Meeting(one, other).prove()
    back = Handshake(KEY_B, fresh(), remote=A, extension=other)
    here = Handshake(KEY_A, fresh(), extension=one)
    here.receive_data(back.data_to_send())
    back.receive_data(here.data_to_send())
    back.proved()
    here.proved()
    assert one.peers[B] == other.peers[A]
    assert one.peers[B].meetings == ["new", "known"]


def test_a_peer_that_has_lost_its_memory_is_new() -> None:
    one, other = Remembering(1), Remembering(2)
    Meeting(one, other).prove()
    lost = Remembering(3)
    Meeting(one, lost).prove()
    assert one.peers[B].meetings == ["new", "new"]
    assert lost.peers[A].meetings == ["new"]


def test_a_peer_without_the_extension_meets_one_with_it() -> None:
    one = Remembering(1)
    assert_agreed(*Meeting(one, None).prove())
    other = Remembering(2)
    assert_agreed(*Meeting(None, other).prove())
    assert snapshot(one) == snapshot(other) == {}
    assert (told(one), told(other)) == (["offer", "proved"], ["answer", "proved"])
