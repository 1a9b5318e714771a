"""Names of clients, as their Hellos have them, taken apart by tables: which client, which version, on what it runs.

Most are parts between slashes: the client, perhaps a label of its owner, the version, the system, the runtime, as in
``Geth/v1.10.3-stable-991384a7/linux-amd64/go1.16.3``. Nothing says which part is which but its look, and any may be missing, so each is
recognised by what it looks like and where it stands. What fits no table is not guessed: `parse_client` returns None, and whoever counts
clients lists those names as they are.
"""

import re
from dataclasses import dataclass
from typing import Final

_MOST: Final = 512
"""Characters that are looked at."""
_MOST_PARTS: Final = 12
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")
_VERSION: Final = re.compile(r"[vV]?([0-9]{1,9}(?:\.[0-9]{1,9}){1,3})(?:[-+._ ]?(\S{0,120}))?")
_WORDS: Final = re.compile(r"[-_:;,. ()\[\]]+")
_RUNTIME: Final = re.compile(r"([A-Za-z]+)[-_ ]?v?([0-9][0-9A-Za-z.+_-]{0,39})?")
_JAVA: Final = re.compile(r"(?:[A-Za-z0-9_.]+-){0,4}java-([0-9][0-9A-Za-z.+_-]{0,39})")

# What clients call themselves, in lower case -> (what they are called here, the language that they are written in).
_CLIENTS: Final[dict[str, tuple[str, str]]] = {
    **{name: (name, "Go") for name in (
        "bor", "bsc", "cdk-erigon", "celo", "erigon", "geth", "go-opera", "go-u2u", "goquorum", "gwemix", "kaia", "klaytn", "nitro",
        "op-erigon", "op-geth", "platon", "quorum", "ronin", "sonic", "xdc",
    )},
    **{name: (name, "Rust") for name in (
        "akula", "anvil", "bera-reth", "ethrex", "gnosis-reth", "op-reth", "openethereum", "reth", "silius", "trin",
    )},
    **{name: (name, "Java") for name in ("besu", "harmony", "pantheon")},
    **{name: (name, "Scala") for name in ("fukuii", "mantis")},
    **{name: (name, "C++") for name in ("aleth", "silkworm")},
    **{name: (name, "Python") for name in ("pyethapp", "trinity", "trio-devp2p", "devp2p-crawler")},
    **{name: (name, "JavaScript") for name in ("ethereumjs", "ganache", "hardhatnetwork", "ultralight")},
    "nethermind": ("nethermind", "C#"),
    "nimbus": ("nimbus", "Nim"),
    "nimbus-eth1": ("nimbus", "Nim"),
    "nimbusel": ("nimbus", "Nim"),
    "core-geth": ("core-geth", "Go"),
    "coregeth": ("core-geth", "Go"),
    "multi-geth": ("core-geth", "Go"),
    "multigeth": ("core-geth", "Go"),
    "go-ethereum": ("geth", "Go"),
    "turbo-geth": ("erigon", "Go"),
    "turbogeth": ("erigon", "Go"),
    "opera": ("go-opera", "Go"),
    "parity": ("openethereum", "Rust"),
    "parity-ethereum": ("openethereum", "Rust"),
    "ethereumjs-devp2p": ("ethereumjs", "JavaScript"),
    "ethereum(j)": ("ethereumj", "Java"),
    "ethereumj": ("ethereumj", "Java"),
    "eth": ("aleth", "C++"),
    "cpp-ethereum": ("aleth", "C++"),
    "hyperledger besu": ("besu", "Java"),
}  # fmt: skip
_SYSTEMS: Final = {
    "android": "android",
    "apple": "macos",
    "darwin": "macos",
    "dragonfly": "dragonfly",
    "freebsd": "freebsd",
    "illumos": "illumos",
    "linux": "linux",
    "mac": "macos",
    "macos": "macos",
    "netbsd": "netbsd",
    "openbsd": "openbsd",
    "osx": "macos",
    "solaris": "solaris",
    "win": "windows",
    "win32": "windows",
    "win64": "windows",
    "windows": "windows",
}
_ARCHITECTURES: Final = {
    "386": "386",
    "aarch64": "arm64",
    "amd64": "amd64",
    "arm": "arm",
    "arm64": "arm64",
    "armv6": "arm",
    "armv7": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
    "loong64": "loong64",
    "mips": "mips",
    "mips64": "mips64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "riscv64gc": "riscv64",
    "s390x": "s390x",
    "x64": "amd64",
    "x86": "386",
    "x8664": "amd64",
}
_LANGUAGES: Final = {
    "appleclang": "C++",
    "bun": "JavaScript",
    "clang": "C++",
    "cpython": "Python",
    "deno": "JavaScript",
    "dotnet": "C#",
    "gnu": "C++",
    "go": "Go",
    "msvc": "C++",
    "nim": "Nim",
    "node": "JavaScript",
    "nodejs": "JavaScript",
    "pypy": "Python",
    "python": "Python",
    "rust": "Rust",
    "rustc": "Rust",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A name, taken apart. What it does not tell is None; `language` may be known of the client."""

    name: str
    """In lower case, one for all spellings: "geth", "core-geth"."""
    version: str | None = None
    """Its numbers alone: "1.10.3"."""
    build: str | None = None
    """What stands behind them: "stable-991384a7"."""
    label: str | None = None
    """What its owner calls it, or the client that it was made from."""
    system: str | None = None
    architecture: str | None = None
    language: str | None = None
    runtime: str | None = None
    """The version of the compiler or runtime: "1.16.3"."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version, to be compared; empty if there is none."""
        return tuple(map(int, self.version.split("."))) if self.version else ()


def parse_client(text: str) -> Client | None:
    """Take a client's name apart; None for one that is not known by its name, and has no version either. Raises nothing."""
    parts = [part.strip() for part in _split(text[:_MOST])]
    if not parts or len(parts) > _MOST_PARTS:
        return None
    known = _CLIENTS.get(parts[0].lower())
    if known is None and not _NAME.fullmatch(parts[0]):
        return None
    found = _Parts(parts[1:])
    if known is None and found.version is None:
        return None
    name, language = known or (parts[0].lower(), None)
    return Client(
        name=name,
        version=found.version,
        build=found.build,
        label=found.label,
        system=found.system,
        architecture=found.architecture,
        language=found.language or language,
        runtime=found.runtime,
    )


def _split(text: str) -> list[str]:
    """The parts of a name; where it has no slashes, words do."""
    if "/" in text:
        return text.split("/")
    name, _, rest = text.strip().partition(" ")
    return [name, *rest.split(" ", 1)] if rest else [name] if name else []


class _Parts:
    """The parts behind the client's own name, each recognised by its look."""

    def __init__(self, parts: list[str]) -> None:
        self.system: str | None = None
        self.architecture: str | None = None
        self.language: str | None = None
        self.runtime: str | None = None
        self.version: str | None = None
        self.build: str | None = None
        self.label: str | None = None
        platform = next((index for index in range(len(parts) - 1, -1, -1) if self._is_platform(parts[index])), None)
        for part in parts[platform + 1 :] if platform is not None else ():
            self._take_runtime(part)
        before = parts[:platform] if platform is not None else self._without_runtime(parts)
        self._take_version(before)

    def _is_platform(self, part: str) -> bool:
        words = _WORDS.split(part.lower().replace("x86_64", "x8664").replace("aarch_64", "aarch64"))
        systems = [_SYSTEMS[word] for word in words if word in _SYSTEMS]
        if not systems or _VERSION.fullmatch(part):
            return False
        self.system = systems[0]
        self.architecture = next((_ARCHITECTURES[word] for word in words if word in _ARCHITECTURES), None)
        return True

    def _take_runtime(self, part: str) -> bool:
        """Whether a part is the runtime. A bare number behind the system is one, too, of which the client says the language."""
        if self.language is not None:
            return False
        if match := _JAVA.fullmatch(part):
            self.language, self.runtime = "Java", match[1]
            return True
        match = _RUNTIME.fullmatch(part)
        if match and match[1].lower() in _LANGUAGES:
            self.language, self.runtime = _LANGUAGES[match[1].lower()], match[2]
            return True
        if self.system is not None and self.runtime is None and (number := _VERSION.fullmatch(part)):
            self.runtime = number[1]
        return False

    def _without_runtime(self, parts: list[str]) -> list[str]:
        return parts[:-1] if parts and self._take_runtime(parts[-1]) else parts

    def _take_version(self, parts: list[str]) -> None:
        """The version is the last that looks like one: before it may stand what the owner calls the node.

        Where another client's name stands in between, as in ``Q-Client/v1.0.8-stable/Geth/v1.10.8-stable``, it is the last before that.
        """
        nested = next((index for index, part in enumerate(parts) if index and part.lower() in _CLIENTS), None)
        own = parts if nested is None else parts[:nested]
        matches = [(index, match) for index, part in enumerate(own) if (match := _VERSION.fullmatch(part))]
        labels = own
        if matches:
            index, match = matches[-1]
            self.version, self.build = match[1], match[2] or None
            labels = own[:index]
        given = parts[nested] if nested is not None else "/".join(part for part in labels if part)
        self.label = given or None
