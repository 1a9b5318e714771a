"""Rows T76 to T79 of THREATS.md: nodes that have others called, and servers that lie about who is reached."""

from types import SimpleNamespace
from typing import Any

import trio

from devp2p import Address, PrivateKey
from devp2p.capabilities.nat import Nat, NatLimits, Reachability, Verdict, capability
from devp2p.capabilities.nat.messages import LEAST_DATA, MOST_DATA, PIECE, Data, DialMe, DialResult, NeedData, Status
from devp2p.capabilities.nat.serving import Serving

NODE = PrivateKey.from_bytes(bytes(31) + b"\7").public_key
VICTIM = "tcp://66.6.6.6:30303"


class Channel:
    """What a server sends, without a session."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def peer(ip: str = "45.67.0.1", number: int = 1) -> Any:
    return SimpleNamespace(
        address=Address("tcp", ip, 5), id=bytes([number]) * 32, public_key=NODE, link=SimpleNamespace(transport="tcp", path="direct")
    )


class Called(Serving):
    """It notes whom it would call."""

    def __init__(self, limits: NatLimits | None = None) -> None:
        super().__init__(limits or NatLimits())
        self.whom: list[str] = []

    async def call(self, node: Any, address: Address, request: DialMe) -> Status:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        self.whom.append(str(address))
        return Status.OK


def server(limits: NatLimits | None = None) -> tuple[Nat, Called]:
    nat = Nat()
    nat.serving = called = Called(limits)
    nat._node = SimpleNamespace()  # type: ignore[assignment]
    return nat, called


async def asked(nat: Nat, who: Any, *addresses: str, pays: int = 0) -> list[Any]:
    """What a server answers to one question; of the data that it wants, `pays` bytes come."""
    channel = Channel()
    talk = capability._Talk(nat, who, channel)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        talk.take(DialMe(bytes(range(32)), addresses, request_id=9), nursery)
        with trio.move_on_after(1):
            while not channel.sent:  # noqa: ASYNC110
                await trio.sleep(0.01)
        if isinstance(channel.sent[0], NeedData):
            left = min(pays, channel.sent[0].size)
            while left:
                talk.take(Data(9, bytes(min(PIECE, left))), nursery)
                left -= min(PIECE, left)
    return channel.sent


async def test_t76_a_third_party_is_called_only_by_who_has_sent_30_kb():
    nat, called = server()
    needed, result = await asked(nat, peer(), VICTIM)
    assert LEAST_DATA <= needed.size <= MOST_DATA
    assert result == DialResult(9, 0, Status.REFUSED)
    assert not called.whom
    *_, result = await asked(nat, peer(number=2), VICTIM, pays=MOST_DATA)
    assert result.status == Status.OK
    assert called.whom == [VICTIM]
    assert [one.status for one in await asked(nat, peer("66.6.6.6", 3), VICTIM)] == [Status.OK]  # it asks for itself


async def test_t76_control_without_the_price_whoever_is_named_is_called(monkeypatch):
    nat, called = server()
    monkeypatch.setattr(Called, "data_needed", lambda *_: 0)
    await asked(nat, peer(), VICTIM)
    assert called.whom == [VICTIM]


WHERE = [
    "tcp://192.168.1.1:80",
    "tcp://127.0.0.1:30303",
    "tcp://[::1]:30303",
    "tcp://169.254.169.254:80",
    "tcp://100.64.0.1:5",
    "tcp://[fe80::1]:5",
    "tcp://router.example:80",
    "tcp://localhost:80",
    "unix:///run/node.sock",
    "memory://x",
    "tcp://0.0.0.0:5",
    "tcp://45.67.0.1:0",
    "http://45.67.0.1:80",
    "nonsense",
]


async def test_t77_nobody_is_called_on_our_own_network_or_by_name():
    nat, called = server()
    for number, address in enumerate(WHERE):
        assert [one.status for one in await asked(nat, peer(number=number), address)] == [Status.NO_ADDRESS]
    assert not called.whom


async def test_t77_control_with_the_flag_for_tests_they_are():
    nat, called = server(NatLimits(local_addresses=True))
    for number, address in enumerate(WHERE):
        await asked(nat, peer(Address.parse(address).host if number < 2 else "45.67.0.1", number), address)
        if number == 1:
            break
    assert called.whom == WHERE[:2]


def asking(agreeing: int = 4) -> Nat:
    return Nat(agreeing=agreeing)


async def told(nat: Nat, status: Status, servers: int, *, same_network: bool = False) -> Reachability:
    """What a node believes to whom servers say something, and of whom none has called."""
    for number in range(servers):
        ip = f"66.6.6.{number + 1}" if same_network else f"66.6.{number}.1"
        nat._called.clear()

        async def ask(_: DialMe) -> DialResult:
            await trio.lowlevel.checkpoint()
            return DialResult(1, 0, status)

        talk: Any = SimpleNamespace(peer=peer(ip, number), ask=ask)
        await nat._ask(talk, Address("tcp", "45.67.0.1", 30303))
    return nat.reachability


async def test_t78_a_server_that_says_that_it_has_called_is_not_believed_without_the_key():
    assert await told(asking(), Status.OK, 20) == Reachability()


async def test_t78_servers_of_one_network_are_one_server():
    assert await told(asking(), Status.UNREACHABLE, 20, same_network=True) == Reachability()
    assert (await told(asking(), Status.UNREACHABLE, 3)).verdict is Verdict.UNKNOWN
    assert (await told(asking(), Status.UNREACHABLE, 4)).verdict is Verdict.PRIVATE


async def test_t78_control_who_asks_one_server_believes_the_liar():
    assert (await told(asking(1), Status.UNREACHABLE, 1)).verdict is Verdict.PRIVATE


async def test_t79_one_peer_has_one_call_a_minute_and_all_together_twenty():
    nat, called = server()
    for _ in range(10):
        await asked(nat, peer("66.6.6.6"), VICTIM)
    assert len(called.whom) == 1
    for number in range(100):
        await asked(nat, peer("66.6.6.6", number), VICTIM)
    assert len(called.whom) == 20
    await trio.sleep(61)
    await asked(nat, peer("66.6.6.6"), VICTIM)
    assert len(called.whom) == 21


async def test_t79_control_without_the_bounds_each_question_is_a_call():
    nat, called = server(NatLimits(calls_per_minute=10**6, peer_interval=1e-9))
    for _ in range(100):
        await asked(nat, peer("66.6.6.6"), VICTIM)
        await trio.sleep(0.001)
    assert len(called.whom) == 100
