"""The API on a file of crawls: what it gives, what it refuses, and that it cannot be made to work without end."""

import json
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trio
from devp2p_crawler.analysis import parse_client
from devp2p_crawler.cli import main
from devp2p_crawler.figures import Findings
from devp2p_crawler.serving import Live, Reader, application
from devp2p_crawler.serving.metrics import _escaped
from devp2p_crawler.serving.reading import BusyError
from devp2p_crawler.stores import SinkError, SqliteStore
from prometheus_client.parser import text_string_to_metric_families

from tests.crawler.generated import Shape, batches


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("crawls") / "crawl.db"
    with closing(SqliteStore.create_or_open(path)) as store:
        for batch in batches(Shape(nodes=90, crawls=1, rounds=2, hostile=0.1)):
            store.write(batch)
    return path


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Asks an application on a file, without a network."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.rendered = list[Findings]()
        self.reader = Reader(str(path), **options)
        self.app = application(self.reader, Live(self.reader, self.render), names=["map.example"])

    def render(self, findings: Findings) -> str:
        self.rendered.append(findings)
        return f"<p>{findings.headline.found}</p>"

    async def get(self, path: str, *, host: str = "127.0.0.1:8030", method: str = "GET", **query: object) -> Answer:
        scope: dict[str, Any] = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"}
        scope |= {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": urlencode(query).encode()}
        scope |= {"headers": [(b"host", host.encode())], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8030)}
        sent = list[Any]()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def asking(path: Path, asks: Any, **options: Any) -> Any:
    async def main() -> Any:
        return await asks(Client(path, **options))

    return trio.run(main)


def test_pages_of_nodes_hold_each_once_and_all_is_filtered(database):
    async def asks(client: Client) -> None:
        pages, after = list[Any](), 0
        while after is not None:
            answer = (await client.get("/api/nodes", limit=40, after=after)).json
            pages.append(answer["nodes"])
            after = answer["next"]
        assert [len(page) for page in pages] == [40, 40, 10]
        everyone = [node for page in pages for node in page]
        assert len({node["id"] for node in everyone}) == 90
        with closing(SqliteStore.open_reading(database)) as store:
            known = {node.node.hex(): node for node in store.nodes()}
        for node in everyone:
            same = known[node["id"]]
            assert (node["first_seen"], node["first_ok"], node["last_ok"], node["last_visit"], node["score"]) == (
                *(same.first_seen, same.first_ok, same.last_ok, same.last_visit, same.score),
            )
            assert node["client"] == (same.said and same.said.client)
        geths = (await client.get("/api/nodes", client="gEtH/", limit=1000)).json["nodes"]
        assert len(geths) == sum(bool(node["client"]) and node["client"].lower().startswith("geth/") for node in everyone) > 5
        assert (await client.get("/api/nodes", client="%", limit=1000)).json["nodes"] == []
        alive = (await client.get("/api/nodes", alive="false", limit=1000)).json["nodes"]
        assert {node["id"] for node in alive} == {node["id"] for node in everyone if node["last_ok"] is None}
        shared = (await client.get("/api/nodes", capability="snap/1", network=1, limit=1000)).json["nodes"]
        assert {node["id"] for node in shared} == {n["id"] for n in everyone if "snap/1" in n["capabilities"] and n["network_id"] == 1}

    asking(database, asks)


def test_one_node_and_its_visits_the_last_written_first(database):
    with closing(SqliteStore.open_reading(database)) as store:
        visits = [visit for _, visit in store.visits_after(0)][::-1]
    node, count = Counter(visit.node for visit in visits).most_common(1)[0]

    async def asks(client: Client) -> None:
        found = (await client.get(f"/api/nodes/{node.hex().upper()}")).json
        assert found["id"] == node.hex()
        told = (await client.get(f"/api/nodes/{node.hex()}/visits")).json["visits"]
        assert [(visit["began"], visit["kind"], visit["outcome"]) for visit in told] == [
            (visit.began, visit.kind.name, visit.outcome.name) for visit in visits if visit.node == node
        ]
        assert len((await client.get(f"/api/nodes/{node.hex()}/visits", limit=2)).json["visits"]) == 2 < count
        for path in (f"/api/nodes/{bytes(32).hex()}", f"/api/nodes/{bytes(32).hex()}/visits", "/nowhere"):
            assert (await client.get(path)).status == 404

    asking(database, asks)


def test_sums_are_those_of_the_report(database):
    async def asks(client: Client) -> None:
        assert (await client.get("/")).body == b"<p>90</p>"
        summary = (await client.get("/api/summary")).json
        assert summary["headline"]["found"] == 90
        named = (await client.get("/api/clients")).json["clients"]["names"]
        assert parse_client("Geth/v1.16.7") is not None
        assert "geth" in {client["name"] for client in named}
        for part in ("networks", "crawls", "growth"):
            assert (await client.get(f"/api/{part}")).json["as_of"] == summary["as_of"]

    asking(database, asks)


def test_metrics_are_read_by_a_client_of_prometheus(database):
    async def asks(client: Client) -> None:
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        samples = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }
        assert samples["devp2p_crawl_nodes", "found"] == 90
        assert samples["devp2p_crawl_client_nodes", "geth"] > 5
        assert samples["devp2p_crawl_recall", "estimate"] == 0.9962
        assert samples["devp2p_crawl_visits", "rlpx", "ok"] > 0

    asking(database, asks)


def test_labels_are_escaped():
    assert _escaped('a"b\\c\nd') == r"a\"b\\c\nd"


@pytest.mark.parametrize("missing", ["starlette", "hypercorn"])
def test_what_is_not_installed_is_named_with_what_installs_it(database, capsys, monkeypatch, missing):
    for name in [name for name in sys.modules if name.startswith("devp2p_crawler.serving") or name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["serve", "--db", str(database)]) == 2
    assert f"serve needs {missing}, which is not installed: pip install 'devp2p-crawler[serve]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/api/nodes", {"limit": "0"}, "limit is a whole number from 1 to 1000, not '0'"),
        ("/api/nodes", {"limit": "1001"}, "from 1 to 1000"),
        ("/api/nodes", {"after": "-1"}, "after is a whole number"),
        ("/api/nodes", {"network": "9" * 5000}, "network is a whole number"),
        ("/api/nodes", {"alive": "yes"}, "alive is true or false, not 'yes'"),
        ("/api/nodes", {"client": "x" * 257}, "1 to 256 characters"),
        ("/api/nodes", {"where": "1"}, "there is no parameter 'where' here; there are alive, client, network, capability, after, limit"),
        ("/api/clients", {"limit": "1"}, "there are none"),
        ("/api/nodes/xyz", {}, "64 hexadecimal digits"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(database, path, query, said):
    answer = asking(database, lambda client: client.get(path, **query))
    assert answer.status == 400
    assert said in answer.json["error"]


def test_it_only_reads(database):
    async def asks(client: Client) -> None:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert (await client.get("/api/nodes", method=method)).status == 405
        with pytest.raises(SinkError):
            await client.reader.read(lambda connection: connection.execute("DELETE FROM visit"))

    asking(database, asks)


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8030", 200), ("[::1]:8030", 200), ("localhost", 200), ("MAP.example.:80", 200), ("evil.example", 421), ("", 421)],
)
def test_it_answers_under_its_names_alone(database, host, status):
    answer = asking(database, lambda client: client.get("/openapi.json", host=host))
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_a_query_without_end_is_ended(database):
    async def asks(client: Client) -> None:
        endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        with pytest.raises(BusyError, match=r"longer than 0\.05 s"):
            await client.reader.read(lambda connection: connection.execute(endless).fetchall())

    asking(database, asks, patience=0.05)


def test_the_report_is_made_once_for_all_who_ask_at_a_time(database):
    async def asks(client: Client) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(client.get, "/")
        assert len(client.rendered) == 1

    asking(database, asks)


def test_the_description_is_true_of_the_routes(database):
    async def asks(client: Client) -> None:
        described = (await client.get("/openapi.json")).json["paths"]
        assert len(described) >= 8
        for path, methods in described.items():
            query = {
                p["name"]: bytes(32).hex()
                if "pattern" in p["schema"]
                else {"integer": "1", "boolean": "true", "string": "x"}[p["schema"]["type"]]
                for p in methods["get"]["parameters"]
                if p["in"] == "query"
            }
            answer = await client.get(path.replace("{node}", bytes(32).hex()), **query)
            assert answer.status == (404 if "{node}" in path else 200), path

    asking(database, asks)


def test_a_file_that_is_gone_is_told(tmp_path):
    answer = asking(tmp_path / "none.db", lambda client: client.get("/api/nodes"))
    assert answer.status == 500
    assert "none.db" in answer.json["error"]
