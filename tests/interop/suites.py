"""go-ethereum's conformance suites for eth and snap as processes, and the engine endpoint to which they tell heads and custody."""

import base64
import hashlib
import hmac
import json
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from tests.interop.chains import suite_files
from tests.interop.peers import DEVP2P

ETH = (
    "Status",
    "MaliciousHandshake",
    "BlockRangeUpdateExpired",
    "BlockRangeUpdateFuture",
    "BlockRangeUpdateInvalid",
    "GetBlockHeaders",
    "GetNonexistentBlockHeaders",
    "SimultaneousRequests",
    "SameRequestID",
    "ZeroRequestID",
    "GetBlockAccessLists",
    "GetBlockBodies",
    "GetReceipts",
    "GetLargeReceipts",
    "LargeTxRequest",
    "Transaction",
    "InvalidTxs",
    "NewPooledTxs",
    "BlobViolations",
    "TestBlobTxWithoutSidecar",
    "TestBlobTxWithMismatchedSidecar",
    "BlobTxAvailabilityFailure",
    "GetCells",
    "BlobTxWithInvalidCells",
)
SNAP = ("Status", "AccountRange", "GetByteCodes", "GetTrieNodes", "GetStorageRanges")
SNAP2 = ("Status", "GetBlockAccessLists", "TrieNodesRemoved")
"""The cases of go-ethereum v1.17.8, in their order."""

_LIMIT = 90.0  # seconds for one suite; the longest takes 20
_MOST = 64 * 1024  # bytes of a request to the engine

_RESULT = re.compile(r"(ok|not ok) (\d+) (\S+)")


@dataclass(frozen=True)
class Outcome:
    """What one case came to, and what it said."""

    name: str
    passed: bool
    said: str


def outcomes(tap: str) -> list[Outcome]:
    """Read what a suite printed: TAP, version 13, with what a case said in comments below it."""
    plan, *lines = tap.splitlines()
    found: list[Outcome] = []
    said: list[str] = []
    for line in [*lines, ""]:
        if (match := _RESULT.fullmatch(line)) or not line:
            if found:
                found[-1] = Outcome(found[-1].name, found[-1].passed, "\n".join(said))
            said = []
            if match:
                assert int(match[2]) == len(found) + 1, line
                found.append(Outcome(match[3], match[1] == "ok", ""))
        else:
            assert line.startswith("#"), line
            said.append(line.removeprefix("# "))
    assert plan == f"1..{len(found)}", f"{plan} was announced, and these came: {[outcome.name for outcome in found]}"
    return found


async def run_suite(name: str, enode: str, engine: "Engine", *, only: str = "") -> list[Outcome]:
    """Run a suite, "eth-test", "snap-test" or "snap2-test", against a node; with `only`, those of its cases that this pattern fits."""
    options = ["--chain", str(suite_files()), "--node", enode, "--engineapi", engine.url, "--jwtsecret", engine.secret.hex()]
    command = [str(DEVP2P), "rlpx", name, "--tap", *options, *(["--run", only] if only else [])]
    with trio.fail_after(_LIMIT):
        ended = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
    found = outcomes(ended.stdout.decode())
    assert ended.returncode == (0 if all(outcome.passed for outcome in found) else 1)
    return found


class Engine:
    """An engine endpoint (execution-apis, "Engine API"): it hears what the head is, and which columns of blobs are to be kept."""

    def __init__(self, port: int, secret: bytes, on_head: Callable[[bytes], Awaitable[None]], on_custody: Callable[[int], None]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.secret = secret
        self.heard: list[str] = []
        """The methods that were called."""
        self._on_head = on_head
        self._on_custody = on_custody

    async def answer(self, stream: trio.SocketStream) -> None:
        """Answer the one request of a connection."""
        async with stream:
            with trio.move_on_after(_LIMIT):
                request = bytearray()
                while b"\r\n\r\n" not in request:
                    request += await _more(stream, request)
                head, _, body = bytes(request).partition(b"\r\n\r\n")
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head.decode().split("\r\n")[1:])}
                while len(body) < int(headers["content-length"]):
                    body += await _more(stream, body)
                self._authorize(headers["authorization"])
                answer = json.dumps(await self._handle(json.loads(body))).encode()
                top = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
                await stream.send_all(top.encode() + answer)

    def _authorize(self, authorization: str) -> None:
        """Check the token, a JWT of HS256 (RFC 7519)."""
        token = authorization.removeprefix("Bearer ")
        signed, _, signature = token.rpartition(".")
        expected = base64.urlsafe_b64encode(hmac.digest(self.secret, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
        assert hmac.compare_digest(signature, expected), "a token that was not made with the secret"

    async def _handle(self, request: dict[str, object]) -> dict[str, object]:
        method, params = str(request["method"]), request["params"]
        assert isinstance(params, list)
        self.heard.append(method)
        assert method in {"engine_forkchoiceUpdatedV3", "engine_forkchoiceUpdatedV4"}, method
        state, _, *custody = params
        if custody and custody[0] is not None:
            self._on_custody(int.from_bytes(bytes.fromhex(custody[0].removeprefix("0x")), "little"))
        await self._on_head(bytes.fromhex(state["headBlockHash"].removeprefix("0x")))
        status = {"status": "VALID", "latestValidHash": state["headBlockHash"], "validationError": None}
        return {"jsonrpc": "2.0", "id": request["id"], "result": {"payloadStatus": status, "payloadId": None}}


async def _more(stream: trio.SocketStream, had: bytes | bytearray) -> bytes:
    data = await stream.receive_some(_MOST)
    assert data, "a request that breaks off"
    assert len(had) + len(data) <= _MOST, "a request that is too large"
    return bytes(data)


@asynccontextmanager
async def engine_endpoint(on_head: Callable[[bytes], Awaitable[None]], on_custody: Callable[[int], None]) -> AsyncIterator[Engine]:
    """Listen on loopback for a consensus client."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = int(listeners[0].socket.getsockname()[1])
        engine = Engine(port, hashlib.sha256(b"the secret of a test").digest(), on_head, on_custody)
        nursery.start_soon(trio.serve_listeners, engine.answer, listeners)
        yield engine
        nursery.cancel_scope.cancel()
