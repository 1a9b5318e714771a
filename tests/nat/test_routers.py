"""Routers that are asked over UDP on loopback: NAT-PMP, PCP, and servers of STUN."""

import pytest
import trio
from aioice import stun as codec

from devp2p.nat import NatError, Wanted, ask, ask_several
from devp2p.nat import asking as asking_module
from devp2p.nat.routers import PcpRouter, PmpRouter
from tests.nat.routers import Pcp, Pmp, serving

TCP, UDP = Wanted("tcp", 30303), Wanted("udp", 30303)


@pytest.mark.real_clock
async def test_nat_pmp_makes_and_removes_mappings():
    server = Pmp()
    async with serving(server) as port:
        router = await PmpRouter.open("127.0.0.1", port)
        assert await router.look() == server.external
        for wanted in (TCP, UDP):
            grant = await router.map(wanted, 30303, 7200)
            assert (grant.external, grant.port, grant.lifetime) == (server.external, 30304, 7200)
        assert server.mapped == {(2, 30303): 30304, (1, 30303): 30304}
        await router.unmap(TCP)
        assert server.mapped == {(1, 30303): 30304}
        assert not router.has_forgotten()
        server.epoch = 3
        await router.look()
        assert router.has_forgotten()
        assert not router.has_forgotten()
        server.result = 2
        with pytest.raises(NatError, match="not authorized"):
            await router.map(TCP, 30303, 7200)
        router.close()


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_pcp_keeps_the_nonce_of_a_mapping(host):
    server = Pcp(bytes((45, 67, 0, 10)) if host == "127.0.0.1" else bytes.fromhex("2a01" + "00" * 13 + "05"))
    async with serving(server, host) as port:
        router = await PcpRouter.open(host, port)
        await router.look()
        grant = await router.map(TCP, 30303, 7200)
        assert (grant.external, grant.port, grant.lifetime) == (server.external, 30304, 7200)
        nonce = server.nonces[6, 30303]
        await router.map(TCP, 30304, 7200)
        assert server.nonces == {(6, 30303): nonce}
        server.epoch = 1
        await router.look()
        assert router.has_forgotten()
        await router.unmap(TCP)
        assert not server.nonces
        server.result = 8
        with pytest.raises(NatError, match="no resources"):
            await router.map(UDP, 30303, 7200)
        router.close()


@pytest.mark.real_clock
async def test_who_speaks_nat_pmp_only_is_no_router_by_pcp():
    async with serving(Pmp()) as port:
        with pytest.raises(NatError, match="speaks NAT-PMP only"):
            await PcpRouter.open("127.0.0.1", port)


@pytest.mark.real_clock
async def test_nobody_there_is_known_at_once():
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(NatError, match=r"nothing listens|no answer"):
        await PmpRouter.open("127.0.0.1", port)


async def test_a_question_is_asked_again_at_the_times_of_the_rfc():
    asked: list[float] = []

    class Socket:
        async def send(self, _):
            asked.append(trio.current_time())

        async def recv(self, _):
            await trio.sleep_forever()

    questions = asking_module.Questions(Socket(), "it")  # type: ignore[arg-type]
    with pytest.raises(NatError, match="it: no answer"):
        await questions.ask(b"?", lambda data: data)
    assert [one - asked[0] for one in asked] == pytest.approx([0, 0.25, 0.75])


def seen_at(host, port=40000):
    def answer(data):
        request = codec.parse_message(data)
        response = codec.Message(codec.Method.BINDING, codec.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = (host, port)
        return [bytes(response)]

    return answer


@pytest.mark.real_clock
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_stun_asks_servers_by_address_and_name(host):
    async with serving(seen_at("45.67.0.10"), "127.0.0.1" if host == "localhost" else host) as port:
        endpoint = await ask(host, port)
        assert str(endpoint) == "45.67.0.10:40000"


@pytest.mark.real_clock
async def test_of_several_servers_two_have_to_agree():
    async with serving(seen_at("45.67.0.10")) as one, serving(seen_at("45.67.0.99")) as other, serving(seen_at("45.67.0.10", 1)) as third:
        local = "127.0.0.1"
        assert (await ask_several([(local, one), (local, other), (local, third)])).hex() == "2d43000a"
        assert (await ask_several([(local, other)])).hex() == "2d430063"
        with pytest.raises(NatError, match="do not agree"):
            await ask_several([(local, one), (local, other)])


@pytest.mark.real_clock
async def test_one_lost_answer_does_not_end_that_a_pcp_router_is_asked_for_its_address():
    pcp, pmp, lost = Pcp(), Pmp(), [b"one"]

    def answer(data: bytes) -> list[bytes]:
        if data[0] == 2:
            return pcp(data)
        return [] if lost and lost.pop() else pmp(data)

    async with serving(answer) as port:
        router = await PcpRouter.open("127.0.0.1", port)
        assert await router.look() == pmp.external
        router.close()
