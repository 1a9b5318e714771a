"""The nodes on this side of the tests against other clients, and whether there are clients at all."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devp2p.capabilities.ethereum.store import SqliteChain
from tests.interop import chains, peers
from tests.interop.meeting import HANDSHAKES, NodeMaker

LONGEST_FIRST = (
    "test_compare_geth",  # two crawlers that are compared by how fast they are: beside the next, which only waits
    "test_keepalive",
    "test_blockchain_geth",
    "test_conformance",  # that of transports, too
    "test_fleet",
    "test_nat_router",
    "test_punch_netns",
    "test_ethereumjs",
    "test_clickhouse",
    "test_crawl_report_browser",
    "test_geth_admission",
    "test_geth",
    "test_crawler_geth",
    "test_simulated_geth",
)
"""Files of which each takes long, so that none of them is left for one process at the end of `make interop`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with them; all others stay in their order."""
    order = {name: number for number, name in enumerate(LONGEST_FIRST)}
    last = len(order)
    items.sort(key=lambda item: order.get(item.path.stem, last) if item.get_closest_marker("interop") else last)


@pytest.fixture(scope="session")
def geth() -> None:
    """What the go-ethereum tests run must be there: a missing client is a failure, not a skip."""
    missing = [path.name for path in (peers.TESTPEER, peers.DEVP2P) if not path.is_file()]
    if missing:
        pytest.fail(f"not built: {', '.join(missing)}; run `python tests/interop/build.py {' '.join(missing)}`, or `make interop`")


@pytest.fixture(scope="session")
def dpxpeer() -> None:
    """The same for the second implementation of dpx/1."""
    if not peers.DPXPEER.is_file():
        pytest.fail("not built: dpxpeer; run `python tests/interop/build.py dpxpeer`, or `make interop`")


@pytest.fixture(scope="session")
def transportpeer() -> None:
    """The same for sessions of Go over transports."""
    if not peers.TRANSPORTPEER.is_file():
        pytest.fail("not built: transportpeer; run `python tests/interop/build.py transportpeer`, or `make interop`")


@pytest.fixture(scope="session")
def chaintool() -> None:
    """The same for what executes and serves chains."""
    if not chains.CHAINTOOL.is_file():
        pytest.fail("not built: chaintool; run `python tests/interop/build.py chaintool`, or `make interop`")


@pytest.fixture(scope="session")
def exported(chaintool: None, tmp_path_factory: pytest.TempPathFactory) -> chains.Exported:  # noqa: ARG001
    """The chain of go-ethereum's conformance suites, with all that its files do not say."""
    return chains.export(tmp_path_factory.mktemp("chain"))


@pytest.fixture(scope="session")
def database(exported: chains.Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a chain file of ours."""
    path = tmp_path_factory.mktemp("database") / "chain.db"
    chains.imported(exported, path)
    return path


@pytest.fixture
def chain(database: Path) -> Iterator[SqliteChain]:
    """That file, open."""
    with SqliteChain.open(database) as chain:
        yield chain


@pytest.fixture(scope="session")
def ethereumjs() -> None:
    """The same for ethereumjs."""
    if not (peers.PEER_MJS.parent / "node_modules").is_dir():
        pytest.fail("not built: ethereumjs; run `python tests/interop/build.py ethereumjs`, or `make interop`")
    if shutil.which("node") is None:
        pytest.fail("no `node` on the PATH; install Node.js 20.19 or newer")


@pytest.fixture(scope="session")
def websocket() -> None:
    """The same for the relay on npm's ws."""
    if not (peers.RELAY_MJS.parent / "node_modules").is_dir():
        pytest.fail("not built: websocket; run `python tests/interop/build.py websocket`, or `make interop`")
    if shutil.which("node") is None:
        pytest.fail("no `node` on the PATH; install Node.js 20.19 or newer")


@pytest.fixture(params=HANDSHAKES.values(), ids=list(HANDSHAKES))
def our_node(request: pytest.FixtureRequest) -> NodeMaker:
    """Make nodes of this library, once with a plain handshake and once with elements in it that no other client knows."""
    return NodeMaker(**request.param)


@pytest.fixture
def our_plain_node() -> NodeMaker:
    """The same with the plain handshake alone, for what takes long and does not depend on it."""
    return NodeMaker()


@pytest.fixture(params=["we-dial", "they-dial"])
def we_dial(request: pytest.FixtureRequest) -> bool:
    """Who opens the connection."""
    return bool(request.param == "we-dial")
