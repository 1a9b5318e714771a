"""What peers are truly worth, by the plan: the measure of a set of peers that no node of the show can know (pure).

A peer's service in a capability is a number from 0 to 1. A set of peers is worth, in each capability, the sum of its best `SLOTS` ones:
more than that a capability has no use for.
"""

import random
from collections.abc import Iterable, Sequence

from tools.show.plan import CAPABILITIES, SLOTS, NodePlan

_DRAWS = 200


def service(peers: Iterable[NodePlan]) -> float:
    """What a set of peers truly gives."""
    peers = list(peers)
    return sum(sum(sorted((peer.service(capability) for peer in peers), reverse=True)[:SLOTS]) for capability in CAPABILITIES)


def best_service(candidates: Sequence[NodePlan], places: int) -> float:
    """What the best `places` of the candidates would give: found greedily, then by replacing one by another while that is better."""
    chosen: list[NodePlan] = []
    rest = [plan for plan in candidates if any(plan.service(capability) for capability in CAPABILITIES)]
    while rest and len(chosen) < places:
        chosen.append(max(rest, key=lambda plan: service([*chosen, plan])))
        rest.remove(chosen[-1])
    while exchange := _better(chosen, rest):
        out, into = exchange
        chosen[chosen.index(out)] = into
        rest[rest.index(into)] = out
    return service(chosen)


def _better(chosen: Sequence[NodePlan], rest: Sequence[NodePlan]) -> tuple[NodePlan, NodePlan] | None:
    """A replacement that is worth it: (who goes, who comes)."""
    now = service(chosen)
    for out in chosen:
        others = [plan for plan in chosen if plan is not out]
        for into in rest:
            if service([*others, into]) > now + 1e-9:
                return out, into
    return None


def chance_service(candidates: Sequence[NodePlan], places: int, seed: int) -> float:
    """What as many peers taken at random would give, on average."""
    dice = random.Random(seed)  # noqa: S311  (no secret is thrown with it)
    draws = [service(dice.sample(candidates, min(places, len(candidates)))) for _ in range(_DRAWS)]
    return sum(draws) / len(draws)
