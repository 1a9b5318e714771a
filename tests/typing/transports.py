"""What type checkers must infer, and refuse, of code that carries sessions over something new: checked by mypy and pyright, never run."""

from dataclasses import dataclass
from typing import assert_type

from trio.abc import HalfCloseableStream

from devp2p import Address, ByteLink, Link, Listener, MuxLink, PublicKey, StreamLink, Transport
from devp2p.transports import OnLink


@dataclass(frozen=True)
class Pipes:
    """A link with streams of its own, by somebody who knows nothing of our classes."""

    local: Address
    remote: Address
    initiator: bool
    peer: PublicKey

    async def open(self) -> HalfCloseableStream:
        raise NotImplementedError

    async def accept(self) -> HalfCloseableStream:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Wire:
    """A byte stream with proof, likewise."""

    stream: HalfCloseableStream
    local: Address
    remote: Address
    initiator: bool
    peer: PublicKey

    async def aclose(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Nobody:
    """Like `Pipes`, but proves nobody."""

    local: Address
    remote: Address
    initiator: bool
    peer: PublicKey | None

    async def open(self) -> HalfCloseableStream:
        raise NotImplementedError

    async def accept(self) -> HalfCloseableStream:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing to close."""


class Ear:
    addresses: tuple[Address, ...] = ()

    async def serve(self, on_link: OnLink) -> None:
        await on_link(ByteLink(the_stream(), local=HERE, remote=HERE, initiator=False))

    async def aclose(self) -> None:
        """Nothing to close."""


class Tubes:
    schemes = frozenset({"tubes"})

    async def dial(self, address: Address, *, expect: PublicKey | None) -> Pipes:
        raise NotImplementedError

    async def bind(self, address: Address) -> Ear:
        raise NotImplementedError


class Deaf:
    schemes = frozenset({"deaf"})

    async def dial(self, address: Address, *, expect: PublicKey | None) -> ByteLink:
        raise NotImplementedError


HERE = Address("tubes", "here")


def the_stream() -> HalfCloseableStream:
    raise NotImplementedError


def links_are_of_two_types(pipes: Pipes, wire: Wire, nobody: Nobody) -> None:
    links: list[Link] = [pipes, wire, ByteLink(the_stream(), local=HERE, remote=HERE, initiator=True)]
    proved: MuxLink = pipes
    plain: StreamLink = wire
    unproved: MuxLink = nobody  # type: ignore[assignment]
    links += [proved, plain, unproved]


def a_link_says_of_which_type_it_is(link: Link) -> None:
    assert_type(link.peer, PublicKey | None)
    assert_type(link.remote, Address)
    if isinstance(link, MuxLink):
        assert_type(link.peer, PublicKey)
    else:
        assert_type(link.stream, HalfCloseableStream)


def a_link_may_have_no_stream_of_its_own(link: Link) -> HalfCloseableStream:
    return link.stream  # type: ignore[union-attr]


def transports_are_what_dials_and_binds() -> tuple[Listener, list[Transport]]:
    tubes: Transport = Tubes()
    deaf: Transport = Deaf()  # type: ignore[assignment]
    return Ear(), [tubes, deaf]
