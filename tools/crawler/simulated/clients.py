"""What simulated nodes say of themselves over RLPx (pure): names of clients, some of which are attacks, and the heads of their chains."""

from functools import cache
from typing import Final

from devp2p.capabilities.eth import Eth, eth
from devp2p.capabilities.ethereum import GenesisChain, Head
from devp2p.capabilities.ethereum.networks import FIRST_HEADERS, NETWORKS
from devp2p.keys import keccak256
from tools.crawler.simulated.population import Kind, Member, head_of

_CLIENTS: Final = (
    "Geth/v1.16.7-stable-b9f3a3d9/linux-amd64/go1.25.1",
    "Geth/v1.17.2-stable-02b73d4e/linux-amd64/go1.26.0",
    "Geth/v1.17.2-stable-02b73d4e/linux-arm64/go1.26.0",
    "Geth/my-validator/v1.15.11-stable-36b2371c/linux-amd64/go1.24.2",
    "Nethermind/v1.35.2+faa9b9e6/linux-x64/dotnet9.0.9",
    "Nethermind/v1.36.0+0a4b2c91/windows-x64/dotnet10.0.0",
    "besu/v25.11.0/linux-x86_64/openjdk-java-21",
    "besu/v26.1.0/osx-aarch64/openjdk-java-21",
    "erigon/v3.2.2/linux-amd64/go1.24.9",
    "reth/v1.9.3-27a8c0f/x86_64-unknown-linux-gnu",
    "reth/v1.10.0-5e5a1f2/aarch64-unknown-linux-gnu",
    "Nimbus-eth1/v0.2.2-0a1b2c/linux-amd64/Nim-2.2.4",
    "ethrex/v6.0.0-main-1f2e3d4c/x86_64-unknown-linux-gnu/rustc-v1.91.0",
    "ethereumjs/v0.10.4/linux/node22",
    "bor/v2.3.1-stable/linux-amd64/go1.24.6",
    "",
    "something nobody has heard of",
)
HOSTILE: Final = (
    "<script>document.title='taken'</script>",
    "<img src=x onerror=alert(1)>",
    'Geth/v1.0"><svg/onload=alert(1)>/linux/go1',
    '=HYPERLINK("http://127.0.0.1/","click")',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1+1)",
    "\t=1+1",
    "\x1b]0;taken\x07\x1b[2J\x1b[31mGeth",
    "Geth\r\nSet-Cookie: a=b\r\n",
    "'; DROP TABLE nodes; --",
    '" OR 1=1 --',
    "Robert'); DELETE FROM visit;--",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "%s%n%x{0.__class__}",
    "Geth\0hidden",
    "\u202egnp.exe\u202c",
    "\ufeff\u2028\u2029",
    "\U0001d572\U0001d58a\U0001d599\U0001d58d/" + "\u00e9" * 300,
    "A" * 1500,
    "javascript:alert(1)",
    "</title></style></textarea><h1>taken",
)
"""Names that are attacks on whoever shows them: HTML, formulas of spreadsheets, terminals, SQL, templates, formats, logs."""


class ChainAt(GenesisChain):
    """A chain that says to be at its head, and has no block but the first."""

    def __init__(self, name: str) -> None:
        network = NETWORKS[name]
        super().__init__(network, FIRST_HEADERS[name])
        head = head_of(network)
        self.head = Head(head.number, keccak256(f"head of {name}".encode()), head.timestamp, head.number)


@cache
def capabilities_of(chain: str) -> tuple[Eth, ...]:
    """Eth for the nodes of a network; nothing for those that have none."""
    return eth(ChainAt(chain)) if chain else ()


def name_of(member: Member) -> str:
    """The name of a node's client."""
    names = HOSTILE if member.kind is Kind.HOSTILE_NAME else _CLIENTS
    return names[member.index % len(names)]
