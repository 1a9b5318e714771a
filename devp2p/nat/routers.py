"""Routers that are asked for mappings by NAT-PMP and PCP. `upnp` has the third kind."""

import ipaddress
import secrets
from collections.abc import Callable
from typing import Final, Protocol, Self

import trio

from devp2p.addresses import pack_ip
from devp2p.nat import pcp, pmp
from devp2p.nat.asking import Questions
from devp2p.nat.epoch import Epoch
from devp2p.nat.leases import Grant, NatError, Wanted
from devp2p.nat.settings import is_believable

_IP_PROTOCOLS: Final = {"tcp": 6, "udp": 17}
_PMP_OPCODES: Final = {"tcp": pmp.MAP_TCP, "udp": pmp.MAP_UDP}

_ONCE: Final = (0.5,)
"""Seconds to wait for an answer that may well not come."""
_SILENCES: Final = 3
"""After so many questions in a row without an answer it is not waited for any more. One alone may be lost on its way."""


class Router(Protocol):
    """One router, by one of the protocols. Everything raises NatError where it does not do what it is asked for."""

    @property
    def name(self) -> str:
        """The protocol, for people."""
        ...

    async def look(self) -> bytes | None:
        """Whether it is still there: its external address, packed, or None if it does not tell that without a mapping."""
        ...

    async def map(self, wanted: Wanted, port: int, lifetime: int) -> Grant:
        """Make or renew a mapping; `port` is the external one that is wished for. What it says is not judged yet."""
        ...

    async def unmap(self, wanted: Wanted) -> None:
        """Remove a mapping."""
        ...

    def has_forgotten(self) -> bool:
        """Whether it has lost its mappings since this was asked the last time."""
        ...

    def close(self) -> None:
        """Ask it nothing any more."""
        ...


class _Clocked:
    """What both protocols have: a socket, and the router's clock in each answer."""

    name: str

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._epoch = Epoch()
        self._forgot = False

    @classmethod
    async def open(cls, host: str, port: int = pmp.PORT) -> Self:
        """Find out whether there is one; NatError if not. By PCP it says so where the router speaks NAT-PMP only."""
        router = cls(await Questions.open(host, port, f"{cls.name} at {host}"))
        try:
            await router.look()
        except BaseException:
            router.close()
            raise
        return router

    async def look(self) -> bytes | None:
        """See `Router`."""
        raise NotImplementedError

    def _note(self, epoch: int) -> None:
        if self._epoch.forgot(epoch, trio.current_time()):
            self._forgot = True

    def has_forgotten(self) -> bool:
        """See `Router`."""
        forgot, self._forgot = self._forgot, False
        return forgot

    def close(self) -> None:
        """See `Router`."""
        self._questions.close()


def _external(data: bytes) -> pmp.External | None:
    answer = pmp.decode(data)
    return answer if isinstance(answer, pmp.External) else None


class PmpRouter(_Clocked):
    """A router by NAT-PMP."""

    name = "NAT-PMP"

    async def look(self) -> bytes:
        """See `Router`."""
        answer = await self._questions.ask(pmp.ask_external(), _external)
        self._note(answer.epoch)
        if answer.result:
            raise NatError(f"NAT-PMP: {pmp.result_text(answer.result)}")
        return answer.address

    async def map(self, wanted: Wanted, port: int, lifetime: int) -> Grant:
        """See `Router`."""
        external = await self.look()
        if not is_believable(external):
            return Grant(external, port, lifetime)  # which is judged, and found wanting, before the router has work
        answer = await self._ask(wanted, port, lifetime)
        return Grant(external, answer.external, answer.lifetime)

    async def unmap(self, wanted: Wanted) -> None:
        """See `Router`."""
        await self._ask(wanted, 0, 0)

    async def _ask(self, wanted: Wanted, port: int, lifetime: int) -> pmp.Mapped:
        opcode = _PMP_OPCODES[wanted.protocol]

        def judge(data: bytes) -> pmp.Mapped | None:
            answer = pmp.decode(data)
            if not isinstance(answer, pmp.Mapped) or answer.opcode != opcode:
                return None
            return answer if answer.internal == wanted.port or answer.result else None

        answer = await self._questions.ask(pmp.ask_mapping(opcode, wanted.port, port, lifetime), judge)
        self._note(answer.epoch)
        if answer.result:
            raise NatError(f"NAT-PMP, {wanted}: {pmp.result_text(answer.result)}")
        return answer


class PcpRouter(_Clocked):
    """A router by PCP. Each mapping has a nonce, by which it is renewed and removed."""

    name = "PCP"

    def __init__(self, questions: Questions, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        super().__init__(questions)
        self._client = pack_ip(ipaddress.ip_address(questions.local))
        self._random = random_bytes
        self._held: dict[Wanted, tuple[bytes, bytes]] = {}
        self._silences = 0 if len(self._client) == 4 else _SILENCES  # to questions by NAT-PMP

    async def look(self) -> bytes | None:
        """See `Router`: its clock, and its address if it can be asked for that by NAT-PMP, too.

        The clock should begin anew when the address changes (section 8.5), but does not with all. To renew a mapping would tell, but there
        are routers that break another one by that, of the same port and the other protocol.
        """
        await self._ask(pcp.ask_announce(self._client), pcp.ANNOUNCE, lambda _: True)
        if self._silences >= _SILENCES:
            return None
        try:
            answer = await self._questions.ask(pmp.ask_external(), _external, _ONCE)
        except NatError:
            self._silences += 1
            return None
        self._silences = 0
        return answer.address if answer.result == 0 else None

    async def map(self, wanted: Wanted, port: int, lifetime: int) -> Grant:
        """See `Router`."""
        nonce, suggested = self._random(pcp.NONCE_SIZE), bytes(len(self._client))
        if wanted in self._held:
            nonce, suggested = self._held[wanted]
        mapping, granted = await self._ask_mapping(wanted, nonce, port, suggested, lifetime)
        self._held[wanted] = (nonce, mapping.address)
        return Grant(mapping.address, mapping.external, granted)

    async def unmap(self, wanted: Wanted) -> None:
        """See `Router`."""
        if wanted in self._held:
            nonce, _ = self._held.pop(wanted)
            await self._ask_mapping(wanted, nonce, 0, bytes(len(self._client)), 0)

    async def _ask_mapping(self, wanted: Wanted, nonce: bytes, port: int, suggested: bytes, lifetime: int) -> tuple[pcp.Mapping, int]:
        """What the router says of a mapping, and for how many seconds."""
        protocol = _IP_PROTOCOLS[wanted.protocol]

        def is_ours(answer: pcp.Answer) -> bool:
            mapping = answer.mapping
            return mapping is not None and (mapping.nonce, mapping.protocol, mapping.internal) == (nonce, protocol, wanted.port)

        question = pcp.ask_mapping(self._client, nonce, protocol, wanted.port, port, suggested, lifetime)
        answer = await self._ask(question, pcp.MAP, is_ours)
        assert answer.mapping is not None  # noqa: S101  (is_ours)
        return answer.mapping, answer.lifetime

    async def _ask(self, question: bytes, opcode: int, is_ours: Callable[[pcp.Answer], bool]) -> pcp.Answer:
        def judge(data: bytes) -> pcp.Answer | None:
            answer = pcp.decode(data)
            if answer.version != pcp.VERSION:
                return answer
            return answer if answer.opcode == opcode and is_ours(answer) else None

        answer = await self._questions.ask(question, judge)
        if answer.version == 0:
            raise NatError("PCP: the router speaks NAT-PMP only")
        if answer.version != pcp.VERSION:
            raise NatError(f"PCP: the router speaks version {answer.version} only, and not {pcp.VERSION}")
        self._note(answer.epoch)
        if answer.result:
            raise NatError(f"PCP: {pcp.result_text(answer.result)}")
        return answer
