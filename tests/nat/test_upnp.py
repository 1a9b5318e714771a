"""Routers by UPnP, through miniupnpc: both versions, permanent leases, ports of others, lies, and silence."""

import math

import pytest

from devp2p.nat import NatError, Wanted, upnp
from tests.nat.igd import Igd, serving_igd

pytestmark = pytest.mark.real_clock
TCP, UDP = Wanted("tcp", 30303), Wanted("udp", 30303)


@pytest.mark.parametrize("version", [1, 2])
async def test_mappings_are_made_with_a_lease_and_removed(version):
    igd = Igd(version)
    async with serving_igd(igd) as url:
        router = await upnp.UpnpRouter.open(url)
        assert (await router.look()).hex() == "2d43000a"
        for wanted in (TCP, UDP):
            grant = await router.map(wanted, 30303, 7200)
            assert (grant.external.hex(), grant.port, grant.lifetime) == ("2d43000a", 30303, 7200)
        assert igd.mapped == {("TCP", 30303): (router.local, 30303, 7200), ("UDP", 30303): (router.local, 30303, 7200)}
        assert not router.has_forgotten()
        igd.mapped.clear()
        await router.look()
        assert router.has_forgotten()
        await router.map(TCP, 30303, 7200)
        await router.unmap(TCP)
        assert not igd.mapped


async def test_a_router_that_knows_permanent_leases_only_gets_one():
    igd = Igd()
    igd.permanent_only = True
    async with serving_igd(igd) as url:
        router = await upnp.UpnpRouter.open(url)
        assert (await router.map(TCP, 30303, 7200)).lifetime == math.inf
        assert igd.mapped == {("TCP", 30303): (router.local, 30303, 0)}


async def test_a_port_that_is_somebody_elses_is_replaced_by_another():
    igd = Igd()
    igd.taken = {30303}
    async with serving_igd(igd) as url:
        router = await upnp.UpnpRouter.open(url)
        port = (await router.map(UDP, 30303, 7200)).port
        assert port != 30303
        assert igd.mapped == {("UDP", port): (router.local, 30303, 7200)}


async def test_a_mapping_that_a_router_does_not_have_is_not_believed():
    igd = Igd()
    igd.forgets = True
    async with serving_igd(igd) as url:
        router = await upnp.UpnpRouter.open(url)
        with pytest.raises(NatError, match="does not have it"):
            await router.map(TCP, 30303, 7200)


@pytest.mark.parametrize("control", ["http://127.0.0.2:80/control", "http://45.67.0.1/control"])
async def test_a_description_that_leads_elsewhere_is_not_believed(control):
    igd = Igd()
    igd.control = control
    async with serving_igd(igd) as url:
        with pytest.raises(NatError):
            await upnp.UpnpRouter.open(url)


async def test_a_router_that_does_not_answer_is_left(monkeypatch):
    igd = Igd()
    async with serving_igd(igd) as url:
        router = await upnp.UpnpRouter.open(url)
        monkeypatch.setattr(upnp.in_thread, "__defaults__", (0.1,))
        igd.hangs = True
        with pytest.raises(NatError, match=r"took longer than 0\.1 s"):
            await router.look()
