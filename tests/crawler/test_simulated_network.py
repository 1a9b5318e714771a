"""The simulated network, asked and dialled by this library: endpoints are proved, answers follow the rules, all of it is counted."""

import pytest
import trio

from devp2p import Discovery, DisconnectReason, NodeRecord, PeerDisconnected, PrivateKey, call, local_node, open_discovery
from devp2p.capabilities.eth import Eth
from devp2p.session import run_session
from tools.crawler.simulated import running
from tools.crawler.simulated.clients import HOSTILE, capabilities_of, name_of
from tools.crawler.simulated.population import Kind, Member, Plan, Population

pytestmark = pytest.mark.real_clock

PLAN = Plan(nodes=150, seed=7, fakes=50, bombs=0.04, hostile_names=0.04)


async def ask(discovery: Discovery, bootnode: NodeRecord, version: int) -> None:
    assert await discovery.ping(bootnode, version=version) is not None
    record = await discovery.request_enr(bootnode, version=version)
    assert record is not None
    assert record.enr == bootnode.enr is not None
    found = await discovery.lookup(bootnode.public_key, version=version)
    assert len(found) > 8


async def said_by(member: Member) -> tuple[str, str]:
    """What comes of a call: the client's name and how it ended."""
    local = local_node(PrivateKey.generate(), capabilities_of(member.chain), client_id="test")
    try:
        session = await call(member.enode, local, timeout=0.7)
    except (PeerDisconnected, trio.TooSlowError) as error:
        return "", type(error).__name__
    ready: list[str] = []

    async def leave() -> PeerDisconnected:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_refuse_later, nursery.cancel_scope, ready)
            return await run_session(session, on_ready=lambda peer, _: ready.append(f"{peer[Eth].status.network_id}"))
        raise AssertionError

    if not session.shared:
        await session.refuse(DisconnectReason.CLIENT_QUITTING)
        return session.hello.client_id, "nothing shared"
    ended = await leave()
    return session.hello.client_id, ready[0] if ready else DisconnectReason(ended.reason).name
