"""``devp2p nat``: find out, step by step, how a node here could be reached from outside."""

import argparse
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

import trio

from devp2p.addresses import Endpoint
from devp2p.nat import METHODS, NatError, NatSettings, Wanted, ask_several, find_router, gateways, is_believable, judged
from devp2p.terminal import Exit, nat_settings, write_json, write_text

SUMMARY = "find out how a node here is reached from outside"
DESCRIPTION = """\
Ask the router, by PCP, NAT-PMP and UPnP, what its external address is, and
whether it forwards a port to this machine: a mapping of two minutes is made
and removed again. With stun, servers outside are asked where they see us.
Each step says what came of it.
"""
EPILOG = """\
examples:
  devp2p nat
  devp2p nat upnp --json
  devp2p nat stun:stun.example.org:3478
  devp2p nat --look

exit codes:
  0  there is a way: a router that forwards ports, or a public address
  1  nothing of it works; each step says why
  2  wrong arguments
"""
_LIFETIME = 120
_NAMES = {"pcp": "PCP", "pmp": "NAT-PMP", "upnp": "UPnP", "stun": "STUN", "gateway": "gateway"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "method",
        metavar="METHOD",
        nargs="?",
        type=nat_settings,
        default=NatSettings(METHODS),
        help="any (the default), upnp, pmp, pcp, stun or stun:HOST[:PORT]",
    )
    parser.add_argument("--look", action="store_true", help="make no mapping: only ask for the external address")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.set_defaults(run=partial(_run, parser))


@dataclass(slots=True, kw_only=True)
class Step:
    """What came of one step."""

    name: str
    """``gateway``, ``pcp``, ``pmp``, ``upnp`` or ``stun``."""
    found: str = ""
    """What was found, in words."""
    error: str = ""
    """Or why nothing was."""
    external: str | None = None
    """The external address."""
    mapping: dict[str, object] | None = None
    """The mapping that was made."""
    seconds: float = field(default=0.0)
    """How long it took."""

    @property
    def is_way(self) -> bool:
        """Whether a node could be reached by this."""
        return not self.error and (self.mapping is not None or (self.external is not None and self.name != "gateway"))


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    settings: NatSettings = options.method
    if settings.is_idle:
        parser.error("argument METHOD: there is nothing to find out about extip:IP and none: say any, upnp, pmp, pcp or stun")
    return trio.run(partial(_show, settings, maps=not options.look, as_json=options.json))


async def _show(settings: NatSettings, *, maps: bool, as_json: bool) -> int:
    steps: list[Step] = []
    async for step in look_around(settings, maps=maps):
        steps.append(step)
        if not as_json:
            write_text(f"{_NAMES[step.name]:<8}  {step.found or step.error}")
    ways = [step for step in steps if step.is_way]
    external = next((step.external for step in ways if step.external is not None), None)
    if as_json:
        write_json({"status": "ok" if ways else "none", "external": external, "steps": [_as_json(step) for step in steps]})
    elif ways:
        write_text(f"A node here can be reached at {external or 'an address that is not known'}: devp2p node --nat {ways[0].name}")
    else:
        write_text("A node here cannot be reached by any of these.")
    return Exit.OK if ways else Exit.FAILED


def _as_json(step: Step) -> dict[str, object]:
    return {
        "step": step.name,
        "ok": not step.error,
        "found": step.found or None,
        "error": step.error or None,
        "external": step.external,
        "mapping": step.mapping,
        "seconds": round(step.seconds, 3),
    }


async def look_around(settings: NatSettings, *, maps: bool = True) -> AsyncIterator[Step]:
    """Take the steps one after another, each of which says what came of it. `maps`: whether to try a mapping."""
    if settings.methods:
        yield _find_gateways()
    for method in settings.methods:
        yield await _timed(Step(name=method), partial(_ask_router, maps=maps))
    if settings.stun is not None:
        yield await _timed(Step(name="stun"), partial(_ask_servers, servers=settings.stun))


async def _timed(step: Step, take: Callable[[Step], Awaitable[None]]) -> Step:
    began = time.perf_counter()
    try:
        await take(step)
    except NatError as error:
        step.error = str(error)
    step.seconds = time.perf_counter() - began
    return step


def _find_gateways() -> Step:
    step = Step(name="gateway")
    try:
        step.found = ", ".join(f"{gateway.host} at {gateway.interface}" for gateway in gateways())
    except NatError as error:
        step.error = str(error)
    return step


async def _ask_router(step: Step, *, maps: bool) -> None:
    router = await find_router(step.name)
    try:
        external = await router.look()
        if external is not None:
            step.external = str(ip_address(external))
        if external is not None and not is_believable(external):
            raise NatError(
                f"the router's external address is {step.external}, which nobody outside reaches: there is another NAT behind it"
            )
        if not maps:
            step.found = f"the router answers; its external address is {step.external or 'told with a mapping only'}"
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("0.0.0.0", 0))  # noqa: S104  (so that the port is nobody else's meanwhile)
            wanted = Wanted("udp", sock.getsockname()[1])
            grant = judged(await router.map(wanted, wanted.port, _LIFETIME))
            step.external = str(ip_address(grant.external))
            where = str(Endpoint(grant.external, grant.port))
            step.mapping = {"protocol": wanted.protocol, "port": wanted.port, "external": where, "lifetime": grant.lifetime}
            step.found = f"{wanted} was reached at {where}, for {grant.lifetime:g} s"
            await router.unmap(wanted)
            step.found += ", and is not any more"
    finally:
        router.close()


async def _ask_servers(step: Step, *, servers: tuple[tuple[str, int], ...]) -> None:
    external = await ask_several(servers)
    step.external = str(ip_address(external))
    if not is_believable(external):
        raise NatError(f"we are seen at {step.external}, which nobody outside reaches")
    step.found = f"we are seen at {step.external}; whether anybody gets in there is not known by this"
