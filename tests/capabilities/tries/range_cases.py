"""Ranges with their proofs, honest ones and lies; the table of test_ranges.py, and of the comparison with go-ethereum.

    python -m tests.capabilities.tries.range_cases        # as JSON

In JSON, `proof` is null where there is none, and `more` is what a verifier returns, null if it refuses. All keys of a trie are of one
length. The facts of go-ethereum's trie/proof_test.go are among them.
"""

import json
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from devp2p.capabilities.ethereum.tries import EMPTY_ROOT, TrieReader, trie_nodes

Leaves = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Case:
    """What `check_range` is given, and what it is to say: whether there is more, or None if it refuses."""

    root: bytes
    start: bytes
    leaves: Leaves
    proof: tuple[bytes, ...]
    more: bool | None


class Trie:
    """A trie that answers honestly."""

    def __init__(self, leaves: Mapping[bytes, bytes]) -> None:
        self.leaves = tuple(sorted(leaves.items()))
        nodes = list(trie_nodes(self.leaves))
        self.root = nodes[-1][1]
        self.nodes = {hash_: node for _, hash_, node in nodes}
        self.reader = TrieReader(self.nodes.get)

    def prove(self, *keys: bytes) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys(node for key in keys for node in self.reader.prove(self.root, key)))

    def case(self, start: bytes, count: int) -> Case:
        """`count` leaves from `start` on."""
        behind = tuple(leaf for leaf in self.leaves if leaf[0] >= start)
        leaves = behind[:count]
        return Case(self.root, start, leaves, self.prove(start, *(key for key, _ in leaves[-1:])), len(behind) > len(leaves))


def moved(key: bytes, by: int) -> bytes:
    """A key beside another."""
    return (int.from_bytes(key) + by).to_bytes(len(key))


_chance = random.Random(14)
MANY: Final = Trie({_chance.randbytes(32): _chance.randbytes(_chance.randint(1, 100)) for _ in range(300)})
EMBEDDED: Final = Trie({number.to_bytes(32): bytes([number]) for number in range(1, 11)})
"""As in TestGappedRangeProof: all leaves, and the branch above them, are in other nodes."""
FORKED: Final = Trie({bytes.fromhex(f"aa{nibble}0").ljust(32, b"\0"): bytes([nibble + 1]) for nibble in (1, 2)})
"""As in TestRangeProofKeysWithSharedPrefix: the root is an extension."""
LONE: Final = Trie({_chance.randbytes(32): b"alone"})
ZERO, LAST = bytes(32), b"\xff" * 32
_KEYS = [key for key, _ in MANY.leaves]
_MIDDLE: Final = MANY.case(moved(_KEYS[100], -1), 50)

HONEST: Final[dict[str, Case]] = {
    "from a key that is there": MANY.case(_KEYS[100], 50),
    "from before a key": _MIDDLE,
    "from behind a key": MANY.case(moved(_KEYS[100], 1), 50),
    "from the beginning": MANY.case(ZERO, 50),
    "to the end": MANY.case(_KEYS[250], 50),
    "all, with a proof": MANY.case(ZERO, 300),
    "all, from the first": MANY.case(_KEYS[0], 300),
    "all, without a proof": replace(MANY.case(ZERO, 300), proof=()),
    "one, from itself": MANY.case(_KEYS[100], 1),
    "one, from before it": MANY.case(moved(_KEYS[100], -1), 1),
    "one, from behind the one before": MANY.case(moved(_KEYS[99], 1), 1),
    "one, the first": MANY.case(ZERO, 1),
    "one, the last": MANY.case(_KEYS[299], 1),
    "one, the last, from before it": MANY.case(moved(_KEYS[299], -1), 1),
    "none behind the last": MANY.case(moved(_KEYS[299], 1), 9),
    "none at the very end": MANY.case(LAST, 9),
    "embedded nodes": EMBEDDED.case((3).to_bytes(32), 6),
    "embedded nodes, from the beginning": EMBEDDED.case(ZERO, 4),
    "embedded nodes, to the end": EMBEDDED.case((5).to_bytes(32), 9),
    "embedded nodes, one": EMBEDDED.case((5).to_bytes(32), 1),
    "embedded nodes, none behind": EMBEDDED.case((11).to_bytes(32), 9),
    "below an extension": FORKED.case(ZERO, 2),
    "below an extension, one": FORKED.case(ZERO, 1),
    "below an extension, the other": FORKED.case(moved(FORKED.leaves[0][0], 1), 1),
    "none behind an extension": FORKED.case(LAST, 1),
    "the only one": LONE.case(ZERO, 1),
    "the only one, from itself": LONE.case(LONE.leaves[0][0], 1),
    "the only one, without a proof": replace(LONE.case(ZERO, 1), proof=()),
    "none behind the only one": LONE.case(LAST, 1),
    "an empty trie": Case(EMPTY_ROOT, ZERO, (), (), more=False),
    "every node of the trie as proof": replace(_MIDDLE, proof=tuple(MANY.nodes.values())),
    "a proof with other things in it": replace(
        _MIDDLE, proof=(b"", b"\xc0", *_MIDDLE.proof[::-1], *LONE.prove(ZERO), *_MIDDLE.proof, b"junk")
    ),
}


def _with(index: int, key: bytes | None = None, value: bytes | None = None) -> Callable[[Case], Case]:
    def change(case: Case) -> Case:
        leaves = list(case.leaves)
        old_key, old_value = leaves[index]
        leaves[index] = (old_key if key is None else key, old_value if value is None else value)
        return replace(case, leaves=tuple(leaves))

    return change


def _without(*indices: int) -> Callable[[Case], Case]:
    return lambda case: replace(case, leaves=tuple(leaf for index, leaf in enumerate(case.leaves) if index not in indices))


def _reordered(order: Callable[[Leaves], Leaves]) -> Callable[[Case], Case]:
    return lambda case: replace(case, leaves=order(case.leaves))


def _proof(change: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> Callable[[Case], Case]:
    return lambda case: replace(case, proof=change(case.proof))


_BEFORE, _BEHIND = MANY.leaves[99], MANY.leaves[150]

LIES: Final[dict[str, tuple[str, Callable[[Case], Case]]]] = {
    "a gap": ("from before a key", _without(20)),
    "a gap of two": ("from before a key", _without(20, 21)),
    "a gap at the start": ("from before a key", _without(0)),
    "a gap at the start, whose leaf is named": ("from a key that is there", _without(0)),
    "a gap before the last": ("from before a key", _without(48)),
    "only the last": ("from before a key", _without(*range(49))),
    "a cut range with the old proof": ("from before a key", _without(49)),
    "no leaves, where there are": ("from before a key", _without(*range(50))),
    "no leaves, where there is one at the start": ("one, from itself", _without(0)),
    "no leaves, where there is one at the end": ("one, the last, from before it", _without(0)),
    "no leaves, of a trie of one": ("the only one", _without(0)),
    "no leaves, below an extension": ("below an extension", _without(0, 1)),
    "a gap among embedded nodes": ("embedded nodes", _without(3)),
    "a gap in all, without a proof": ("all, without a proof", _without(150)),
    "all but the last, without a proof": ("all, without a proof", _without(299)),
    "all but the first, without a proof": ("all, without a proof", _without(0)),
    "nothing, without a proof": ("all, without a proof", _without(*range(300))),
    "a wrong value": ("from before a key", _with(20, value=b"wrong")),
    "a wrong value at the start": ("from a key that is there", _with(0, value=b"wrong")),
    "a wrong value at the end": ("from before a key", _with(49, value=b"wrong")),
    "a wrong value of the only leaf": ("one, from itself", _with(0, value=b"wrong")),
    "a wrong value among embedded nodes": ("embedded nodes", _with(3, value=b"\x63")),
    "a wrong value in all, without a proof": ("all, without a proof", _with(20, value=b"wrong")),
    "an empty value": ("from before a key", _with(20, value=b"")),
    "an empty value at the end": ("from before a key", _with(49, value=b"")),
    "an empty value without a proof": ("all, without a proof", _with(20, value=b"")),
    "an empty value at a key that is not there": (
        "from before a key",
        _reordered(lambda leaves: (*leaves[:20], (moved(leaves[19][0], 1), b""), *leaves[20:])),
    ),
    "a wrong key": ("from before a key", _with(20, key=moved(_KEYS[120], 1))),
    "a wrong key at the end": ("from before a key", _with(49, key=moved(_KEYS[149], 1))),
    "a wrong key of the only leaf": ("one, from itself", _with(0, key=moved(_KEYS[100], 1))),
    "a key too short": ("from before a key", _with(20, key=_KEYS[120][:31])),
    "a key too long": ("from before a key", _with(20, key=_KEYS[120] + b"\0")),
    "an empty key": ("from before a key", _with(20, key=b"")),
    "an invented leaf": ("from before a key", _reordered(lambda leaves: (*leaves[:20], (moved(leaves[19][0], 1), b"new"), *leaves[20:]))),
    "an invented leaf at the end": ("to the end", _reordered(lambda leaves: (*leaves, (moved(leaves[-1][0], 1), b"new")))),
    "an invented only leaf": ("none behind the last", _reordered(lambda _: ((LAST, b"new"),))),
    "a leaf twice": ("from before a key", _reordered(lambda leaves: (*leaves[:20], leaves[19], *leaves[20:]))),
    "two leaves exchanged": ("from before a key", _reordered(lambda leaves: (*leaves[:20], leaves[21], leaves[20], *leaves[22:]))),
    "all reversed": ("from before a key", _reordered(lambda leaves: leaves[::-1])),
    "a leaf before the start": ("from before a key", _reordered(lambda leaves: (_BEFORE, *leaves))),
    "a leaf behind the last that is proved": ("from before a key", _reordered(lambda leaves: (*leaves, _BEHIND))),
    "a wrong root": ("from before a key", lambda case: replace(case, root=LONE.root)),
    "a wrong root without a proof": ("all, without a proof", lambda case: replace(case, root=LONE.root)),
    "a root of nothing": ("from before a key", lambda case: replace(case, root=EMPTY_ROOT)),
    "an empty trie, where it is not": ("an empty trie", lambda case: replace(case, root=MANY.root)),
    "a start farther on than the leaves": ("from before a key", lambda case: replace(case, start=moved(_KEYS[100], 1))),
    "a start farther back than the proof": ("from before a key", lambda case: replace(case, start=ZERO)),
    "a proof without the root": ("from before a key", _proof(lambda proof: proof[1:])),
    "a proof without its last node": ("from before a key", _proof(lambda proof: proof[:-1])),
    "a proof of the last only": (
        "from before a key",
        _proof(lambda proof: tuple(node for node in proof if node in MANY.prove(_KEYS[149]))),
    ),
    "a proof of the start only": (
        "from before a key",
        _proof(lambda proof: tuple(node for node in proof if node in MANY.prove(_KEYS[100]))),
    ),
    "a part without a proof": ("from before a key", _proof(lambda _: ())),
    "a proof of junk": ("from before a key", _proof(lambda _: (b"junk",))),
    "a proof of another trie": ("from before a key", _proof(lambda _: LONE.prove(ZERO))),
    "a proof with one bit changed": (
        "from before a key",
        _proof(lambda proof: (proof[0][:40] + bytes([proof[0][40] ^ 1]) + proof[0][41:], *proof[1:])),
    ),
    "a proof that was cut": ("from before a key", _proof(lambda proof: (proof[0][:-1], *proof[1:]))),
}
"""What is changed of which honest case."""


def lie(name: str) -> Case:
    twin, change = LIES[name]
    case = replace(change(HONEST[twin]), more=None)
    assert replace(case, more=HONEST[twin].more) != HONEST[twin]
    return case


def cases() -> dict[str, Case]:
    """All of them by name."""
    return HONEST | {name: lie(name) for name in LIES}


def as_json() -> str:
    def entry(name: str, case: Case) -> dict[str, object]:
        return {
            "name": name,
            "root": case.root.hex(),
            "start": case.start.hex(),
            "leaves": [[key.hex(), value.hex()] for key, value in case.leaves],
            "proof": [node.hex() for node in case.proof] or None,
            "more": case.more,
        }

    return json.dumps([entry(name, case) for name, case in cases().items()])


if __name__ == "__main__":
    sys.stdout.write(as_json())
