"""Whatever is lost between two nodes, whenever either dies, and however many links they make at once: what they share stays shared.

Each test looks at every world that can follow in a small number of dials. `simulation` has the larger ones.
"""

from dataclasses import replace

import pytest

from devp2p.wire.dpx.acquaintance import Acquaintance, encode
from devp2p.wire.dpx.lineage import DAY, Generation, Lineage
from devp2p.wire.dpx.sealing import id_of
from tests.wire.dpx.links import POOL, World, search


def acquainted() -> World:
    """Two nodes that have known each other for days."""
    lineage = Lineage.begun(POOL[128], 0.0).confirmed(id_of(POOL[128]))
    return World.begun(*[Acquaintance((replace(lineage, born=-9 * DAY, known=True),))] * 2)


@pytest.mark.simulation
def test_two_that_share_a_secret_share_one_for_ever_and_never_lose_trust():
    worlds, shared = search(acquainted(), dials=2)
    assert worlds == shared > 5_000


@pytest.mark.simulation
def test_two_that_meet_for_the_first_time_keep_what_they_once_share():
    worlds, shared = search(World.begun(), dials=2)
    assert worlds > shared > 4_000, "one of them may have come so far when the other died"


@pytest.mark.simulation
def test_control_if_a_new_secret_displaced_one_that_is_not_confirmed_two_links_at_once_would_end_it(monkeypatch: pytest.MonkeyPatch):
    """With the older of two secrets and the newest, as where each session displaces what the one before has left."""

    def resumed(self: Lineage, used: Generation, secret: bytes, now: float, recent: object) -> Lineage:  # noqa: ARG001
        return replace(self, generations=(replace(used, confirmed=True), Generation(secret, used.number + 1, now)), used=now, known=True)

    monkeypatch.setattr(Lineage, "resumed", resumed)
    with pytest.raises(AssertionError, match="share none any more"):
        search(acquainted(), dials=2)


@pytest.mark.simulation
def test_control_if_committed_did_not_name_its_secret_two_links_at_once_would_end_it(monkeypatch: pytest.MonkeyPatch):
    def confirmed(self: Lineage, id: bytes) -> Lineage:  # noqa: A002
        newest = self.generations[-1]
        used = self.find(id)
        if used is not None and used is not newest and used.confirmed:
            return self  # it is resumed from, and nobody has said anything
        return replace(self, generations=(replace(newest, confirmed=True),))

    def committed(self: Acquaintance, id: bytes, now: float, recent: object = ()) -> Acquaintance:  # noqa: A002, ARG001
        return replace(self, lineages=tuple(lineage.confirmed(id) for lineage in self.lineages))

    monkeypatch.setattr(Lineage, "confirmed", confirmed)
    monkeypatch.setattr(Acquaintance, "confirmed", committed)
    with pytest.raises(AssertionError, match="share none any more"):
        search(acquainted(), dials=2)


def written() -> World:
    """The same where each side begins anew with what it has written down, if it crashes."""
    world = acquainted()
    world.written = encode(world.kept(0)), encode(world.kept(1))
    for side in world.sides:
        side.is_kept = True
    return world


def test_a_crash_before_all_is_written_down_is_none_that_matters():
    worlds, shared = search(written(), dials=1, crashes=2)
    assert worlds == shared > 150


def test_control_if_a_secret_were_promised_before_it_is_written_down_a_crash_would_end_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(World, "write", lambda *_: None)
    with pytest.raises(AssertionError, match="share none any more"):
        search(written(), dials=1, crashes=2)


@pytest.mark.simulation
def test_two_dials_and_a_crash():
    worlds, shared = search(written(), dials=2, crashes=1)
    assert worlds == shared > 10_000


@pytest.mark.simulation
def test_three_dials_of_two_that_know_each_other():
    worlds, shared = search(acquainted(), dials=3)
    assert worlds == shared > 100_000


@pytest.mark.simulation
def test_three_dials_of_two_that_meet_for_the_first_time():
    worlds, _ = search(World.begun(), dials=3)
    assert worlds > 100_000


@pytest.mark.simulation
def test_two_dials_with_a_long_time_between_them():
    worlds, shared = search(acquainted(), dials=2, waits=1)
    assert worlds == shared > 10_000
