"""Lookups by dnspython, of a DNS server on this machine."""

import io

import dns.resolver
import pytest
import trio

from devp2p.discovery.dns.resolver import DnsResolver
from devp2p.discovery.dns.source import LookupFailed, records
from devp2p.errors import LocalProtocolError
from tests.discovery.nameserver import name_server
from tests.discovery.zones import DOMAIN, URL, tree

pytestmark = pytest.mark.real_clock


async def test_a_tree_is_read_over_dns():
    made = tree(8)
    with name_server({name: [text.encode()] for name, text in made.to_txt(DOMAIN).items()}) as server:
        found = [each async for each in records(URL, DnsResolver(["127.0.0.1"], port=server.port))]
    assert {each.id for each in found} == {each.id for each in made.records}
    assert server.tcp_queries == 0


async def test_strings_are_joined_and_large_answers_fetched_over_tcp():
    long, huge = b"a" * 300, b"b" * 60_000
    texts = {"long": [long], "huge": [huge], "many": [b"1", b"", "\N{SNOWMAN}".encode(), b"2"]}
    with name_server(texts) as server:
        resolver = DnsResolver(["127.0.0.1"], port=server.port)
        assert await resolver.txt("long") == [long.decode()]
        assert server.tcp_queries == 0
        assert await resolver.txt("huge") == [huge.decode()]
        assert server.tcp_queries == 1
        assert sorted(await resolver.txt("many")) == ["", "1", "2"]


async def test_what_is_not_there_is_told():
    with name_server({}, without_texts=("empty",)) as server:
        resolver = DnsResolver(["127.0.0.1"], port=server.port)
        with pytest.raises(LookupFailed, match=r"^there is no such name$"):
            await resolver.txt("nowhere")
        with pytest.raises(LookupFailed, match=r"^the name has no TXT records$"):
            await resolver.txt("empty")
        with pytest.raises(LookupFailed, match="label"):
            await resolver.txt("x" * 64)
        assert server.asked == ["nowhere", "empty"]


async def test_a_server_that_is_silent_is_waited_for_as_long_as_was_said():
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as silent:
        await silent.bind(("127.0.0.1", 0))
        begun = trio.current_time()
        with pytest.raises(LookupFailed, match=r"^[ -~]+$"):
            await DnsResolver(["127.0.0.1"], port=silent.getsockname()[1], timeout=0.2).txt("name")
        assert trio.current_time() - begun < 5


async def test_what_cannot_be_asked_is_refused(monkeypatch):
    with pytest.raises(LocalProtocolError, match="IP address"):
        DnsResolver(["dns.example.org"])
    read = dns.resolver.Resolver.read_resolv_conf
    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", lambda self, _: read(self, io.StringIO("")))
    with pytest.raises(LookupFailed, match="no DNS server to ask"):
        DnsResolver()
