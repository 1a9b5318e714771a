"""Typed messages: `Request` and `Response`, and the `MessageTable` that a capability's ``messages`` become.

A message is a frozen dataclass whose annotations are its RLP schema. A request carries an id, which its response repeats; both write it
as their first element. Requests whose remaining elements stand in a list of their own (most of eth's) set ``rlp_nested = True``.
"""

import dataclasses
import typing
from collections.abc import Collection, Generator, Mapping
from types import UnionType
from typing import Any, Generic

from typing_extensions import TypeVar

from devp2p import rlp
from devp2p.arguments import named, require, several, whole
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.limits import MAX_MESSAGE_SIZE
from devp2p.wire import CapabilitySpec, Lane

_NO_ID = -1
_MAX_LENGTH = 2**16  # message ids of one capability


@dataclasses.dataclass(frozen=True)
class Response:
    """An answer; ``request_id`` is the id of the `Request` that it answers."""

    request_id: rlp.U64


R = TypeVar("R", bound=Response)


@dataclasses.dataclass(frozen=True)
class Request(Generic[R]):
    """A question whose answer is an `R`: ``class GetTime(Request["Time"])``.

    ``channel.request`` gives it its ``request_id``; a plugin sets one by hand only if it does the matching itself.
    """

    request_id: rlp.U64 = dataclasses.field(default=_NO_ID, kw_only=True)


class MessageTable:
    """The messages of one capability: ids, codecs, sizes and lanes, compiled once."""

    def __init__(  # noqa: PLR0913  (made in one place, from a capability's attributes)
        self,
        name: str,
        version: int,
        messages: Mapping[int, type[Any]],
        *,
        urgent: Collection[type[Any]] = (),
        bulk: Collection[type[Any]] = (),
        max_message_size: int,
        urgent_size: int,
        length: int | None = None,
    ) -> None:
        where = f"{name}/{version}"
        check_messages(where, messages, urgent, bulk, length)
        self._where = where
        self._urgent_size = urgent_size
        self._codecs = {code: rlp.codec(kind) for code, kind in messages.items()}
        self._sizes = {kind: getattr(kind, "max_size", max_message_size) for kind in messages.values()}
        lanes = {kind: Lane.URGENT if kind in urgent else Lane.BULK if kind in bulk else Lane.NORMAL for kind in messages.values()}
        self._entries = {kind: (code, self._codecs[code], lanes[kind], self._sizes[kind]) for code, kind in messages.items()}
        for kind, size in self._sizes.items():
            whole(size, f"{where}: the size in bytes of {kind.__name__}", 1, MAX_MESSAGE_SIZE)
        sizes = tuple(self._sizes[messages[code]] if code in messages else 0 for code in range(length or max(messages) + 1))
        self.spec: CapabilitySpec = CapabilitySpec(name, version, sizes)
        """What the wire needs to know."""
        self.answers: frozenset[int] = frozenset(code for code, kind in messages.items() if _is(kind, Response))
        """The ids of responses."""
        self._answer_to = {kind: _response_type(where, kind, messages) for kind in messages.values() if _is(kind, Request)}

    def has(self, message: object) -> bool:
        """Whether a message is of one of its classes."""
        return type(message) in self._entries

    def encode(self, message: object) -> tuple[int, Lane, bytes]:
        """Turn a message into (its id, its lane, its RLP).

        Raises LocalProtocolError if it is not one of ours, has no request id, does not fit its schema, or is too large.
        """
        try:
            code, codec, lane, size = self._entries[type(message)]
        except KeyError:
            hint = f"; make an object of it, {message.__name__}(...)" if isinstance(message, type) and message in self._entries else ""
            raise LocalProtocolError(f"{self._where} has no message {_what(message)}{hint}") from None
        if getattr(message, "request_id", 0) == _NO_ID:
            raise LocalProtocolError(f"{self._where}: {type(message).__name__} has no request id; use channel.request() for it")
        data = codec.encode(message)
        if len(data) > size:
            raise LocalProtocolError(f"{self._where}: {type(message).__name__} has {len(data)} bytes where {size} are allowed")
        if lane is Lane.URGENT and len(data) > self._urgent_size:
            raise LocalProtocolError(
                f"{self._where}: {type(message).__name__} is urgent and has {len(data)} bytes where {self._urgent_size} are allowed"
            )
        return code, lane, data

    def decode(self, code: int, data: bytes) -> Any:  # noqa: ANN401  (the channel knows the type)
        """Turn RLP into the message with id `code`; DecodingError if it does not fit the schema."""
        try:
            return self._codecs[code].decode(data)
        except DecodingError as error:
            raise DecodingError(f"{self._where} message {code:#x}: {error}") from None

    def decode_in_steps(self, code: int, data: bytes) -> Generator[None, None, Any]:
        """Do the same in steps, as `rlp.Codec.decode_in_steps` does."""
        try:
            return (yield from self._codecs[code].decode_in_steps(data))
        except DecodingError as error:
            raise DecodingError(f"{self._where} message {code:#x}: {error}") from None

    def answer_to(self, request: object) -> type[Response]:
        """The type that answers a request; LocalProtocolError if it is not one of this capability's requests."""
        try:
            return self._answer_to[type(request)]
        except KeyError:
            raise LocalProtocolError(f"{self._where} has no request {_what(request)}") from None


def check_messages(
    where: str, messages: Mapping[int, type[Any]], urgent: Collection[type[Any]], bulk: Collection[type[Any]], length: int | None
) -> None:
    """See that a capability's table makes sense; LocalProtocolError or TypeError says what does not. The schemas are not looked at."""
    _check_ids(where, messages, length)
    for code, kind in messages.items():
        require(kind, type, f"{where}: what stands for message id {code:#x} is a dataclass")
        if _is(kind, Request | Response) and "__dataclass_fields__" not in vars(kind):
            raise LocalProtocolError(f"{where}: {kind.__name__} is no dataclass; its fields would be lost")
    for label, types in (("urgent", urgent), ("bulk", bulk)):
        if isinstance(types, type):
            raise TypeError(f"{where}: {label} is a set of message classes, not the class {types.__name__}: write {{{types.__name__}}}")
        for kind in several(types, f"{where}: {label}"):
            if kind not in messages.values():
                raise LocalProtocolError(f"{where}: {label} names {_name(kind)}, which is not one of its messages")
    for kind in urgent:
        if kind in bulk:
            raise LocalProtocolError(f"{where}: {kind.__name__} is both urgent and bulk")


def _check_ids(where: str, messages: Mapping[int, type[Any]], length: int | None) -> None:
    require(messages, Mapping, f"{where}: messages is a dict of ids and dataclasses, such as {{0x00: Say}}")
    if length is not None:
        whole(length, f"{where}: length", 1, _MAX_LENGTH)
    if not messages:
        raise LocalProtocolError(f"{where} defines no messages")
    end = _MAX_LENGTH if length is None else length
    for code in messages:
        if not _is_id(code, end):
            raise LocalProtocolError(f"{where}: message ids run from 0 to {end - 1:#x}, and {code!r} is none of them")
    if len(set(messages.values())) != len(messages):
        raise LocalProtocolError(f"{where}: one type has two message ids")


def _is_id(code: object, end: int) -> bool:
    return isinstance(code, int) and 0 <= code < end


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else repr(kind)


def _what(message: object) -> str:
    return named(message) if isinstance(message, type) else type(message).__name__


def _is(kind: object, base: type | UnionType) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def _response_type(where: str, kind: type[Any], messages: Mapping[int, type[Any]]) -> type[Response]:
    """Find the ``Time`` of ``class GetTime(Request["Time"])`` among the messages."""
    for base in getattr(kind, "__orig_bases__", ()):
        if typing.get_origin(base) is Request:
            (argument,) = typing.get_args(base)
            name = getattr(argument, "__forward_arg__", None) or getattr(argument, "__name__", str(argument))
            for candidate in messages.values():
                if _is(candidate, Response) and (candidate is argument or candidate.__name__ == name):
                    return typing.cast("type[Response]", candidate)
            raise LocalProtocolError(f"{where}: {kind.__name__} is answered by {name}, which is not one of its messages")
    raise LocalProtocolError(f'{where}: {kind.__name__} does not say what answers it; write class {kind.__name__}(Request["..."])')
