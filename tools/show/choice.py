"""How observers come to choose their peers in another way than the library's (`plan.Choice`), to see what the difference is."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from devp2p.capability import AnyCapability
from devp2p.conduct import RecentConduct
from devp2p.peers import Ratings, Standing
from tools.show.plan import CAPABILITIES


def unrated(capabilities: Sequence[AnyCapability]) -> Sequence[AnyCapability]:
    """The capabilities, which from now on say the same of every peer."""
    for capability in capabilities:
        capability.metric = _nothing  # type: ignore[method-assign]
    return capabilities


def _nothing(conduct: RecentConduct) -> float:  # noqa: ARG001  (whatever it did)
    return 0.0


def merge(ratings: Ratings) -> None:
    """Let a peer stand in each capability by one number: the sum of what all of them say of it, as where there is one reputation."""
    own: Callable[[bytes, str, float], Standing] = ratings.standing
    sums: dict[bytes, float] = {}
    reckoned = -1.0

    def standing(node_id: bytes, capability: str, now: float) -> Standing:
        nonlocal reckoned
        if now != reckoned:
            sums.clear()
            for one in ratings:
                some = [rating for name in CAPABILITIES if (rating := own(one, name, now).rating) is not None]
                if some:
                    sums[one] = sum(some)
            reckoned = now
        worse = [total for total in sums.values() if node_id in sums and total < sums[node_id]]
        return replace(own(node_id, capability, now), quantile=len(worse) / len(sums) if node_id in sums else None)

    ratings.standing = standing  # type: ignore[method-assign]
