"""A node behind a router: ``python -m tests.interop.nat_node HOW PORT SECONDS`` tells each change of `node.nat` as JSON."""

import json
import signal
import sys
from dataclasses import replace
from ipaddress import ip_address

import trio

from devp2p import Node, PrivateKey, open_node
from devp2p.nat import nat_of
from tests.chat import Chat


def tell(node: Node) -> None:
    status = node.nat
    assert status is not None
    assert node.discovery is not None
    record = node.discovery.record
    told = {
        "method": status.method,
        "external": str(ip_address(status.external)) if status.external else None,
        "mapped": {one.protocol: str(where) for one, where in status.mapped.items()},
        "problem": status.problem,
        "enode": node.enode,
        "record": [None if record.ip is None else str(record.ip), record.tcp, record.udp],
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def main(how: str, port: str, look_every: str) -> None:
    settings = replace(nat_of(how), look_every=float(look_every))
    with trio.open_signal_receiver(signal.SIGTERM) as told:
        async with open_node(PrivateKey.generate(), [Chat()], listen=[f"tcp://0.0.0.0:{port}"], discovery=True, nat=settings) as node:

            async def follow() -> None:
                while True:
                    await node.nat_changed()
                    tell(node)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                async for _ in told:
                    nursery.cancel_scope.cancel()
                    break


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
