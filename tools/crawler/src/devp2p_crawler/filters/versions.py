"""Names of clients, as their Hellos have them: which client that is, and which version of it."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from devp2p_crawler.analysis import parse_client

_TERM: Final = re.compile(r"(>=|<=|!=|==?|>|<|)\s*[vV]?([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})")

Numbers = tuple[int, ...]


def client_of(name: str) -> str:
    """The client in a name such as `Geth/v1.14.0-stable/linux-amd64/go1.22`: `geth`; of an unknown one what is before the first slash."""
    client = parse_client(name)
    return name.partition("/")[0].strip().lower() if client is None else client.name


def version_of(name: str) -> Numbers | None:
    """The version in it, such as (1, 14, 0); None without one."""
    client = parse_client(name)
    return None if client is None else client.numbers or None


@dataclass(frozen=True, slots=True)
class VersionTerm:
    """One comparison, such as `>=1.14`. `1.14` and `=1.14` stand for every 1.14.x, and `!=1.14` for every other."""

    sign: str
    numbers: Numbers

    def holds(self, version: Numbers) -> bool:
        """Whether it is true of a version."""
        if self.sign in {"=", "!="}:
            padded = (*version, *(0 for _ in self.numbers))
            return (padded[: len(self.numbers)] == self.numbers) is (self.sign == "=")
        pairs = [*zip_longest(version, self.numbers, fillvalue=0)]
        return _ORDER[self.sign](tuple(mine for mine, _ in pairs), tuple(asked for _, asked in pairs))


_ORDER: Final[dict[str, Callable[[Numbers, Numbers], bool]]] = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def parse_versions(text: str) -> tuple[VersionTerm, ...]:
    """Read `>=1.14` or `>=1.14,<1.16`, all of which must hold; ValueError says what else to write."""
    terms: list[VersionTerm] = []
    for part in text.split(","):
        match = _TERM.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"a version is wanted, such as 1.14, '>=1.14' or '>=1.14,<1.16', not {text[:40]!r}")
        sign = {"": "=", "==": "="}.get(match[1], match[1])
        terms.append(VersionTerm(sign, tuple(map(int, match[2].split(".")))))
    return tuple(terms)
