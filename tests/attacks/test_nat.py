"""Rows T70 to T74 of THREATS.md: routers, and whoever answers in their place, that lie to a node about how it is reached."""

import math
import socket
import threading

import pytest
import trio

from devp2p.addresses import Endpoint
from devp2p.discovery.external_address import QUORUM, ExternalAddress
from devp2p.errors import DecodingError
from devp2p.nat import Grant, Leases, NatError, NatKeeper, NatSettings, NatStatus, Wanted, leases, pcp, ssdp, upnp
from devp2p.nat.asking import Questions
from devp2p.nat.leases import LIFETIME
from devp2p.nat.routers import PcpRouter, PmpRouter
from tests.nat.routers import Pcp, Pmp, serving

TCP = Wanted("tcp", 30303)
OURS = bytes((45, 67, 0, 10))
NOBODY_REACHES = [
    "192.168.1.1",
    "10.0.0.1",
    "100.64.0.9",
    "127.0.0.1",
    "169.254.1.1",
    "0.0.0.0",  # noqa: S104
    "224.0.0.1",
    "203.0.113.9",
    "255.255.255.255",
]


def packed(text):
    return socket.inet_aton(text)


async def kept_by(server, seconds=5.0):
    """What a node publishes that asks a server of NAT-PMP."""
    told: list[NatStatus] = []
    async with serving(server) as port:
        kept = NatKeeper(NatSettings(("pmp",)), [TCP], told.append, find=lambda: PmpRouter.open("127.0.0.1", port))
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(kept._keep_mapped)
                while not told:  # noqa: ASYNC110
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
    return told[-1]


@pytest.mark.real_clock
@pytest.mark.parametrize("address", NOBODY_REACHES)
async def test_t70_an_external_address_that_nobody_reaches_is_not_believed(address):
    server = Pmp(packed(address))
    status = await kept_by(server)
    assert not status.mapped
    assert "nobody outside reaches it" in status.problem
    assert not server.mapped  # it was not even asked for a mapping


@pytest.mark.real_clock
async def test_t70_control_without_the_judgement_the_node_says_that_it_is_at_127_0_0_1(monkeypatch):
    monkeypatch.setattr(leases, "is_believable", lambda _: True)
    monkeypatch.setattr("devp2p.nat.routers.is_believable", lambda _: True)
    status = await kept_by(Pmp(packed("127.0.0.1")))
    assert [str(endpoint) for endpoint in status.mapped.values()] == ["127.0.0.1:30304"]


def questions_asked(lifetime, seconds=86400.0):
    """How often a mapping is asked for in a day, where the router gives each for so long."""
    kept, now, asked = Leases([TCP], 0.0), 0.0, 0
    while now < seconds and asked < 100_000:
        for one in kept.due(now):
            asked += 1
            try:
                kept.granted(one, Grant(OURS, 30303, lifetime), now)
            except NatError:
                continue
        now = max(now, kept.next_due())
    return asked


@pytest.mark.parametrize("lifetime", [0, 1, 59, 60, 7200, 2**32 - 1, math.inf])
def test_t71_no_lifetime_makes_us_ask_without_end_or_never(lifetime):
    assert 24 <= questions_asked(lifetime) <= 2880  # once an hour, and twice a minute


def test_t71_control_who_believes_any_lifetime_asks_all_day_or_never_again(monkeypatch):
    monkeypatch.setattr(leases, "judged", lambda grant: grant)
    assert questions_asked(1) > 50_000
    assert questions_asked(2**32 - 1) == 1


class Forger(Pcp):
    """Whoever has not seen the question, and so not its nonce, answers before the router does."""

    def __call__(self, data):
        true = super().__call__(data)
        if data[1] != pcp.MAP:
            return true
        forged = bytearray(true[0])
        forged[24:36] = bytes(12)
        forged[-4:] = packed("66.6.6.6")
        return [bytes(forged), *true]


@pytest.mark.real_clock
async def test_t72_an_answer_with_another_nonce_is_not_taken():
    async with serving(Forger()) as port:
        router = await PcpRouter.open("127.0.0.1", port)
        assert (await router.map(TCP, 30303, LIFETIME)).external == OURS
        router.close()


@pytest.mark.real_clock
async def test_t72_control_without_nonces_the_forger_is_believed(monkeypatch):
    decode = pcp.decode
    router = None

    def blind(data):
        answer = decode(data)
        if answer.mapping is None:
            return answer
        ours = pcp.Mapping(nonces[0], *(getattr(answer.mapping, name) for name in ("protocol", "internal", "external", "address")))
        return pcp.Answer(answer.version, answer.opcode, answer.result, answer.lifetime, answer.epoch, ours)

    nonces = [bytes(range(12))]
    async with serving(Forger()) as port:
        router = PcpRouter(await Questions.open("127.0.0.1", port, "it"), lambda _: nonces[0])
        monkeypatch.setattr(pcp, "decode", blind)
        assert (await router.map(TCP, 30303, LIFETIME)).external == packed("66.6.6.6")
        router.close()


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_t72_an_answer_from_elsewhere_is_not_heard(host):
    """Another host of the network, or another port of the router, floods us with answers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with trio.socket.socket(family, socket.SOCK_DGRAM) as liar:
        await liar.bind((host, 0))

        def answer(data):
            return [b"true " + data]

        async with serving(answer, host) as port:
            with await Questions.open(host, port, "it") as questions:
                ours = questions._socket.getsockname()
                for _ in range(20):
                    await liar.sendto(b"a lie", ours)
                assert await questions.ask(b"?", lambda data: data) == b"true ?"


@pytest.mark.real_clock
async def test_t72_control_a_socket_that_is_not_connected_hears_the_liar():
    with trio.socket.socket(type=socket.SOCK_DGRAM) as liar, trio.socket.socket(type=socket.SOCK_DGRAM) as ours:
        await ours.bind(("127.0.0.1", 0))
        await liar.sendto(b"a lie", ours.getsockname())
        assert await Questions(ours, "it")._answer(lambda data: data) == b"a lie"


LIES = [
    "http://45.67.0.1/pay?all",
    "http://192.168.1.9:8080/reboot",
    "http://127.0.0.1:8545/",
    "http://router.example/",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("url", LIES)
def test_t73_an_answer_to_the_search_sends_us_nowhere_else(url):
    answer = f"HTTP/1.1 200 OK\r\nLOCATION: {url}\r\n\r\n".encode()
    with pytest.raises(DecodingError):
        ssdp.location(answer, "192.168.1.66")


@pytest.mark.parametrize("url", LIES[:3])
def test_t73_control_without_the_look_at_the_sender_we_would_fetch_it(url, monkeypatch):
    monkeypatch.setattr(ssdp, "host_of", lambda _: "192.168.1.66")
    assert ssdp.location(f"HTTP/1.1 200 OK\r\nLOCATION: {url}\r\n\r\n".encode(), "192.168.1.66") == url


@pytest.mark.real_clock
async def test_t74_a_router_that_never_answers_holds_up_two_threads_and_nobody_else():

    held = threading.Event()
    for _ in range(2):
        with pytest.raises(NatError, match="took longer"):
            await upnp.in_thread(held.wait, 0.05)
    with pytest.raises(NatError, match="earlier questions still wait"):
        await upnp.in_thread(held.wait, 0.05)
    held.set()
    while upnp._limiter().borrowed_tokens:  # noqa: ASYNC110  (a limiter tells nobody)
        await trio.sleep(0.01)
    assert await upnp.in_thread(lambda: 5) == 5


@pytest.mark.real_clock
async def test_t74_control_without_the_bound_each_question_holds_a_thread(monkeypatch):

    held, running = threading.Event(), []

    def hold():
        running.append(1)
        held.wait()

    monkeypatch.setattr(upnp, "_limiter", lambda: trio.CapacityLimiter(1))
    for _ in range(5):
        with pytest.raises(NatError, match="took longer"):
            await upnp.in_thread(hold, 0.05)
    assert len(running) == 5
    held.set()


def voted(external, endpoint):
    for number in range(QUORUM):
        external.vote(bytes((30, number, 1, 7)), endpoint, 400.0)


def test_t75_a_router_that_names_another_hosts_address_is_overruled_by_those_who_see_us():
    external, lie, truth = ExternalAddress(), Endpoint(packed("66.6.6.6"), 30303), Endpoint(OURS, 30303)
    external.doubt(lie)
    assert not external.contradicts(lie)  # nobody else has said anything yet
    voted(external, truth)
    assert external.contradicts(lie)
    assert not external.contradicts(Endpoint(OURS, 40404))  # another port is what a router is for


def test_t75_control_without_those_it_is_believed():
    external = ExternalAddress()
    assert not external.contradicts(Endpoint(packed("66.6.6.6"), 30303))
