"""The application: routes, what each answers, and who may ask.

A web page must not read this through a visitor's browser under a name of its own that it lets lead here (DNS rebinding), so a request has
to be for an IP address, for ``localhost``, or for one of the names that it is told. There are no CORS headers, so that no other site's
script can read an answer.
"""

import enum
import ipaddress
import json
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from typing import Any, Final, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from devp2p_crawler.figures import Oddities
from devp2p_crawler.serving.metrics import TYPE, metrics
from devp2p_crawler.serving.nodes import Wanted, nodes_page, one_node, visits_of
from devp2p_crawler.serving.parameters import (
    MOST_NODES,
    MOST_VISITS,
    Parameter,
    RequestError,
    identity,
    node_id,
    read_all,
    truth,
    whole,
    words,
)
from devp2p_crawler.serving.reading import BusyError, Live, Reader
from devp2p_crawler.stores import SinkError

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_STRANGE: Final = "this server is not called %s: ask for its IP address, or let it know its name (devp2p-crawl serve --name NAME)"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of the API, and what answers it with JSON."""

    path: str
    summary: str
    answer: Callable[[Mapping[str, Any], Mapping[str, str]], Awaitable[object]]
    """Of the parameters, and of the parts of the path; None is 404."""
    parameters: tuple[Parameter, ...] = ()


def application(reader: Reader, live: Live, *, names: Iterable[str] = ()) -> ASGIApp:
    """The ASGI application on one file. `names`: host names under which it may be asked for, beside addresses and ``localhost``."""
    table = _endpoints(reader, live)

    async def description(_request: Request) -> Response:
        return _json(_openapi(table))

    async def report(_request: Request) -> Response:
        return HTMLResponse(await live.page(), headers={"content-security-policy": "frame-ancestors 'none'"})

    async def figures(_request: Request) -> Response:
        return Response(metrics(await live.findings()), media_type=TYPE)

    routes = [
        Route("/", report),
        Route("/openapi.json", description),
        Route("/metrics", figures),
        *(Route(one.path, partial(_answer, one)) for one in table),
    ]
    handlers: dict[Any, Any] = {
        RequestError: partial(_fault, 400),
        BusyError: partial(_fault, 503),
        SinkError: partial(_fault, 500),
        HTTPException: _http_fault,
    }
    return _Guard(Starlette(routes=routes, exception_handlers=handlers), {"localhost", *(name.lower() for name in names)})


def _endpoints(reader: Reader, live: Live) -> list[Endpoint]:
    async def part(names: tuple[str, ...], _values: Mapping[str, Any], _path: Mapping[str, str]) -> object:
        found = await live.findings()
        return {"as_of": found.as_of, **{name: _plain(getattr(found, name)) for name in names}}

    async def hints(values: Mapping[str, Any], _path: Mapping[str, str]) -> object:
        found = await live.findings()
        return {"as_of": found.as_of, **_flagged(found.oddities, values["after"], values["limit"])}

    async def nodes(values: Mapping[str, Any], _path: Mapping[str, str]) -> object:
        return await reader.read(lambda connection: nodes_page(connection, Wanted(**values)))

    async def node(_values: Mapping[str, Any], path: Mapping[str, str]) -> object:
        return await reader.read(lambda connection: one_node(connection, node_id(path["node"])))

    async def visits(values: Mapping[str, Any], path: Mapping[str, str]) -> object:
        wanted = node_id(path["node"])
        found = await reader.read(lambda connection: visits_of(connection, wanted, values["limit"]))
        return {"visits": found} if found or await node({}, path) is not None else None

    page = (
        truth("alive", "whether they answered at least once"),
        words("client", "how the client name begins", 256),
        whole("network", "the network id of their Status", 0, 2**64 - 1),
        words("capability", 'one of their Hello, such as "eth/69"', 64),
        whole("after", "the `next` of the page before", 0, 2**62, 0),
        whole("limit", "how many", 1, MOST_NODES, 100),
    )
    flags = (identity("after", "the `next` of the page before"), whole("limit", "how many", 1, MOST_NODES, 100))
    return [
        Endpoint("/api/summary", "The figures with which the report begins", partial(part, ("headline", "since", "rtts", "errors"))),
        Endpoint("/api/clients", "Clients, versions, capabilities", partial(part, ("clients", "capabilities"))),
        Endpoint("/api/networks", "Networks, and fork ids", partial(part, ("networks", "forks"))),
        Endpoint("/api/crawls", "The newest crawls, and how they differ", partial(part, ("runs", "difference", "overlap"))),
        Endpoint("/api/growth", "How the map grew", partial(part, ("growth",))),
        Endpoint("/api/hints", "Nodes that may not be what they seem, a page at a time: flags that prove nothing", hints, flags),
        Endpoint("/api/nodes", "Nodes, a page at a time", nodes, page),
        Endpoint("/api/nodes/{node}", "One node", node),
        Endpoint("/api/nodes/{node}/visits", "The latest visits to a node", visits, (whole("limit", "how many", 1, MOST_VISITS, 100),)),
    ]


def _flagged(found: Oddities, after: bytes | None, limit: int) -> dict[str, object]:
    """What is odd in sum, and a page of the nodes that are flagged, by node-ID; `next` is None after the last one."""
    ids = [*found.flagged]
    start = 0 if after is None else bisect_right(ids, after)
    page = ids[start : start + limit]
    return {
        **{name: _plain(getattr(found, name)) for name in ("hints", "crowds", "crowds_in_all", "clusters", "clusters_in_all", "alive")},
        "flagged": len(ids),
        "nodes": [{"id": node.hex(), "hints": _plain(found.flagged[node])} for node in page],
        "next": page[-1].hex() if start + limit < len(ids) else None,
    }


async def _answer(endpoint: Endpoint, request: Request) -> Response:
    values = read_all(endpoint.parameters, request.query_params.multi_items())
    found = await endpoint.answer(values, request.path_params)
    if found is None:
        raise HTTPException(404, "nobody has told of this node")
    return _json(found)


def _json(value: object, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json", headers={"content-security-policy": "default-src 'none'"})


async def _fault(status: int, _request: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, status)


async def _http_fault(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    response = _json({"error": error.detail if isinstance(error, HTTPException) else ""}, status)
    response.headers.update(getattr(error, "headers", None) or {})
    return response


def _plain(value: Any) -> Any:  # noqa: ANN401  (what JSON can hold)
    """Dataclasses as objects, bytes in hexadecimal, enumerations by name or word."""
    kind = cast("type[object]", type(value))  # asked instead of the value, which a strict checker would then take for a part of Any
    if is_dataclass(kind):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, bytes):
        return value.hex()
    if issubclass(kind, Mapping):
        return {str(_plain(key)): _plain(one) for key, one in value.items()}
    if issubclass(kind, tuple | list):
        return [_plain(one) for one in value]
    return value


def _openapi(table: list[Endpoint]) -> dict[str, object]:
    errors = {"400": {"description": "what is wrong with the request"}, "503": {"description": "it takes too long, or too many ask"}}

    def described(one: Endpoint) -> dict[str, object]:
        parameters: list[dict[str, object]] = [
            {
                "name": p.name,
                "in": "query",
                "description": p.description,
                "schema": {**p.schema, **({} if p.default is None else {"default": p.default})},
            }
            for p in one.parameters
        ]
        if "{node}" in one.path:
            schema = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
            parameters.insert(0, {"name": "node", "in": "path", "required": True, "description": "node-ID", "schema": schema})
        responses = {"200": {"description": "JSON", "content": {"application/json": {"schema": {"type": "object"}}}}, **errors}
        return {"get": {"summary": one.summary, "parameters": parameters, "responses": responses}}

    description = "What crawls found; read only. Times are microseconds since 1970, UTC; ids and hashes are hexadecimal."
    return {
        "openapi": "3.1.0",
        "info": {"title": "devp2p-crawl", "version": "1", "description": description},
        "paths": {one.path: described(one) for one in table},
    }


class _Guard:
    """Refuses requests under strange names, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, names: set[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)  # the lifespan; and Starlette closes WebSockets, for which there is no route
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        strange = [host for host in hosts if not self._is_ours(host)] if hosts else ["without a name"]
        app = _json({"error": _STRANGE % ascii(strange[0][:80])}, 421) if strange else self._app
        await app(scope, receive, guarded)

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name.lower().removesuffix(".") in self._names
        return True
