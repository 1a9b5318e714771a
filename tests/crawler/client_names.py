"""Names of clients for tests: what clients make of their versions and systems, and names as they were published.

Where the forms come from. go-ethereum, Erigon, and what grew from them (bor, Core-Geth, BSC, Opera, Sonic, Ronin, XDC, ...) call a node
"Name/[Identity/]vVersion-meta-commit[-date]/os-arch/goX"; reth and ethrex "name/vX-commit/target triple[/rustc]"; Nethermind
"Nethermind/vX+commit/os-arch/dotnetX", before 1.12 "X64-Linux/5.0.5"; Besu "besu/[Identity/]vX/os-arch/vendor-java-N"; OpenEthereum and
Parity "Name/[Identity/]vX-track-commit-date/triple/rustcX"; Nimbus "nimbus-eth1/vX-commit/os-arch/Nim-X/nimvm"; ethereumjs
"EthereumJS/X/os/nodeX"; aleth "aleth/X/os/gnuX"; Trinity "Trinity/vX/os/cpythonX". Their sources say so, and names published in documents.
"""

from itertools import product

from devp2p_crawler.analysis import Client

_GO_SYSTEMS = {
    "linux-amd64": ("linux", "amd64"),
    "linux-arm64": ("linux", "arm64"),
    "windows-amd64": ("windows", "amd64"),
    "darwin-arm64": ("macos", "arm64"),
    "freebsd-amd64": ("freebsd", "amd64"),
    "linux-386": ("linux", "386"),
    "linux-arm": ("linux", "arm"),
    "linux-riscv64": ("linux", "riscv64"),
}
_TRIPLES = {
    "x86_64-unknown-linux-gnu": ("linux", "amd64"),
    "x86_64-linux-gnu": ("linux", "amd64"),
    "x86_64-linux-musl": ("linux", "amd64"),
    "aarch64-unknown-linux-gnu": ("linux", "arm64"),
    "x86_64-apple-darwin": ("macos", "amd64"),
    "aarch64-apple-darwin": ("macos", "arm64"),
    "x86_64-pc-windows-msvc": ("windows", "amd64"),
}
_DOTNET_SYSTEMS = [
    ("linux-x64", "linux", "amd64"),
    ("linux-arm64", "linux", "arm64"),
    ("windows-x64", "windows", "amd64"),
    ("osx-arm64", "macos", "arm64"),
]
_JAVA_SYSTEMS = [
    ("linux-x86_64", "linux", "amd64"),
    ("linux-aarch_64", "linux", "arm64"),
    ("osx-aarch_64", "macos", "arm64"),
    ("windows-x86_64", "windows", "amd64"),
]
_GO_NAMES = {
    "Geth": ("geth", ["1.10.26-stable-e5eb32ac", "1.13.14-stable-2bd6bd01", "1.17.8-stable-9d4f2a1b", "1.16.0-unstable-1f2e3d4c-20260101"]),
    "erigon": ("erigon", ["2.59.2-a013ec25", "2021.06.5-alpha-a0694dd3", "3.0.12-7b2ac7a8"]),
    "CoreGeth": ("core-geth", ["1.12.20-stable-c2fb4412", "1.12.16-unstable-bd227f23-20231103"]),
    "bor": ("bor", ["1.10.3-stable-d33ce83c", "2.2.9"]),
    "go-opera": ("go-opera", ["1.1.2-rc.6-9bacdc25-1678723432"]),
    "Sonic": ("sonic", ["1.0.0-a-61af51c2-1715085138"]),
    "Ronin": ("ronin", ["2.7.4-unstable-e2c0e5b9"]),
    "XDC": ("xdc", ["2.4.2-stable-8f5e9ed5"]),
    "Klaytn": ("klaytn", ["0.9.1+3518232250"]),
    "cdk-erigon": ("cdk-erigon", ["2.61.24"]),
}


def _version(text: str) -> tuple[str, str | None]:
    """The numbers of a version, and what stands behind them."""
    end = next((index for index, character in enumerate(text) if character not in "0123456789."), len(text))
    return text[:end], text[end + 1 :] or None


def _go_names() -> dict[str, Client]:
    found: dict[str, Client] = {}
    for (name, (client, versions)), (system, (os, arch)), go in product(_GO_NAMES.items(), _GO_SYSTEMS.items(), ["1.21.7", "1.26.5"]):
        for version, label in product(versions, [None, "my-node.eth"]):
            numbers, build = _version(version)
            text = f"{name}/{f'{label}/' if label else ''}v{version}/{system}/go{go}"
            found[text] = Client(
                name=client, version=numbers, build=build, label=label, system=os, architecture=arch, language="Go", runtime=go
            )
    return found


def _rust_names() -> dict[str, Client]:
    found: dict[str, Client] = {}
    names = {
        "reth": ("reth", "1.8.2-9c30bf7", None),
        "ethrex": ("ethrex", "3.0.0-HEAD-1a2b3c4", "rustc-v1.87.0"),
        "OpenEthereum": ("openethereum", "3.3.5-stable-6c2d392d8-20220405", "rustc1.59.0"),
        "Parity-Ethereum": ("openethereum", "2.7.2-stable-2662d19-20200206", "rustc1.41.0"),
        "op-reth": ("op-reth", "1.9.3-27a8c0f", None),
    }
    for (name, (client, version, rustc)), (triple, (os, arch)), label in product(names.items(), _TRIPLES.items(), ["", "home"]):
        numbers, build = _version(version)
        doubled = f"{label}/" if label or name.startswith("Parity") else ""  # it writes the slashes though there is no label
        runtime = None if rustc is None else rustc.removeprefix("rustc").removeprefix("-v")
        found[f"{name}/{doubled}v{version}/{triple}{f'/{rustc}' if rustc else ''}"] = Client(
            name=client, version=numbers, build=build, label=label or None, system=os, architecture=arch, language="Rust", runtime=runtime
        )
    return found


def _other_names() -> dict[str, Client]:
    found: dict[str, Client] = {}
    for version, (system, os, arch), label in product(
        ["1.25.4+20b10b35", "1.38.0+a1b2c3d4"],
        _DOTNET_SYSTEMS,
        [None, "kiln-7"],
    ):
        numbers, build = _version(version)
        found[f"Nethermind/{f'{label}/' if label else ''}v{version}/{system}/dotnet9.0.1"] = Client(
            name="nethermind", version=numbers, build=build, label=label, system=os, architecture=arch, language="C#", runtime="9.0.1"
        )
    for version, vendor, (system, os, arch), label in product(
        ["24.7.0", "26.9-develop-f9572aa", "21.7.0-RC1"],
        ["openjdk", "corretto", "oracle_openjdk", "adoptopenjdk", "-na-openjdk"],
        [
            ("linux-x86_64", "linux", "amd64"),
            ("linux-aarch_64", "linux", "arm64"),
            ("osx-aarch_64", "macos", "arm64"),
            ("windows-x86_64", "windows", "amd64"),
        ],
        [None, "Staker 3"],
    ):
        numbers, build = _version(version)
        found[f"besu/{f'{label}/' if label else ''}v{version}/{system}/{vendor.lstrip('-')}-java-21"] = Client(
            name="besu", version=numbers, build=build, label=label, system=os, architecture=arch, language="Java", runtime="21"
        )
    for version, system, node in product(["0.10.4", "8.1.3"], ["linux", "darwin"], ["18.20.1", "20.11.0"]):
        found[f"EthereumJS/{version}/{system}/node{node}"] = Client(
            name="ethereumjs", version=version, system="macos" if system == "darwin" else system, language="JavaScript", runtime=node
        )
    return found


PUBLISHED: dict[str, Client | None] = {
    "geth": Client(name="geth", language="Go"),
    "Geth/v1.10.4-stable/linux-x64/go1.16.4": Client(
        name="geth", version="1.10.4", build="stable", system="linux", architecture="amd64", language="Go", runtime="1.16.4"
    ),
    "Geth/enode://91a3c3d5e76b0acf@127.0.0.1:21000/v1.10.0-stable(quorum-v22.1.0)/linux-amd64/go1.17.2": Client(
        name="geth",
        version="1.10.0",
        build="stable(quorum-v22.1.0)",
        label="enode:/91a3c3d5e76b0acf@127.0.0.1:21000",
        system="linux",
        architecture="amd64",
        language="Go",
        runtime="1.17.2",
    ),
    "Q-Client/v1.0.8-stable/Geth/v1.10.8-stable-825470ee/linux-amd64/go1.16.15": Client(
        name="q-client",
        version="1.0.8",
        build="stable",
        label="Geth",
        system="linux",
        architecture="amd64",
        language="Go",
        runtime="1.16.15",
    ),
    "PlatONnetwork/V0.5_testsn/v0.4.0-stable-0f651de0/linux-amd64/go1.11": Client(
        name="platonnetwork",
        version="0.4.0",
        build="stable-0f651de0",
        label="V0.5_testsn",
        system="linux",
        architecture="amd64",
        language="Go",
        runtime="1.11",
    ),
    "Nethermind/v1.10.73-0-b8ab9/X64-Linux/5.0.5": Client(
        name="nethermind", version="1.10.73", build="0-b8ab9", system="linux", architecture="amd64", language="C#", runtime="5.0.5"
    ),
    "nimbus-eth1/v0.1.0-94198bcf/linux-amd64/Nim-2.0.10/nimvm": Client(
        name="nimbus", version="0.1.0", build="94198bcf", system="linux", architecture="amd64", language="Nim", runtime="2.0.10"
    ),
    "anvil 0.1.0 (fdd321b 2023-10-04T00:21:13.119600000Z)": Client(name="anvil", version="0.1.0", language="Rust"),
    "aleth/1.8.0/linux/gnu7.3.0": Client(name="aleth", version="1.8.0", system="linux", language="C++", runtime="7.3.0"),
    "Trinity/v0.1.0-alpha.36/linux/cpython3.7.4": Client(
        name="trinity", version="0.1.0", build="alpha.36", system="linux", language="Python", runtime="3.7.4"
    ),
    "ethereumjs-devp2p/linux-x64/nodejs": Client(name="ethereumjs", system="linux", architecture="amd64", language="JavaScript"),
    "besu/v20.10.0/linux-x86_64/oracle_openjdk-java-11": Client(
        name="besu", version="20.10.0", system="linux", architecture="amd64", language="Java", runtime="11"
    ),
    "reth/v1.0.0": Client(name="reth", version="1.0.0", language="Rust"),
    "nitro/v3.6.7-a7c9f1e/linux-amd64/go1.23.1": Client(
        name="nitro", version="3.6.7", build="a7c9f1e", system="linux", architecture="amd64", language="Go", runtime="1.23.1"
    ),
    "SomethingNew/v2.0.1-beta/linux-amd64/zig0.11": Client(
        name="somethingnew", version="2.0.1", build="beta", system="linux", architecture="amd64"
    ),
    # what nobody can take apart is left as it is
    "": None,
    "/": None,
    "bot": None,
    "unknown client": None,
    "Some-Client": None,
    "\x1b[31mred\x1b[0m/v1.0.0": None,
    "<script>alert(1)</script>/v1.0/linux": None,
    "=cmd|' /C calc'!A0/v1.0.0/linux-amd64": None,
    "/".join("abcdefghijklmnop"): None,
}
"""Names as they were published, in the tests and documents of others, or as strangers may have them."""
NAMES: dict[str, Client | None] = {**_go_names(), **_rust_names(), **_other_names(), **PUBLISHED}
