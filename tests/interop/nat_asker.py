"""A node that asks servers of nat/1: ``python -m tests.interop.nat_asker HOW ENODE ...`` prints what it finds out, as a line of JSON."""

import json
import sys

import trio

from devp2p import PrivateKey, open_node
from devp2p.capabilities.nat import Nat, Verdict


async def main(how: str, servers: list[str]) -> None:
    nat, key = Nat(), PrivateKey.generate()
    with trio.fail_after(40):
        async with open_node(key, [nat], listen=["tcp://0.0.0.0:30303"], discovery=True, static_peers=servers, nat=how) as node:
            while nat.reachability.verdict is Verdict.UNKNOWN:
                await nat.changed()
            found = nat.reachability
            told = {
                "verdict": found.verdict.value,
                "addresses": [str(address) for address in found.addresses],
                "unreachable": [str(address) for address in found.unreachable],
                "observed": [address.host for address in nat.observed],
                "peers": len(node.connected),
            }
            sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2:])
