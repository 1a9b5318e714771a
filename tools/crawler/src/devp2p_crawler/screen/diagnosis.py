"""Why a crawl hears nothing, in words: what is certain first, then what is likely, each with what to do about it (pure)."""

import ipaddress
from collections.abc import Iterator

from devp2p_crawler.model import Silence

_OPTIONS = ("opt-out", "net-restrict")  # by which a user leaves nodes out


def explain(silence: Silence) -> list[str]:
    """Lines of text; the first says what is the matter, each further one a cause and a remedy."""
    certain = list(_certain(silence))
    is_explained = bool(certain) and not 0 < silence.refused < silence.starts
    return [_matter(silence), *certain, *([] if is_explained else _likely(silence))]


def _matter(silence: Silence) -> str:
    if not silence.starts:
        return "there is no node to begin with"
    asked = f"{silence.starts} {'node' if silence.starts == 1 else 'nodes'} to begin with, {silence.sent} datagrams sent"
    if not silence.received:
        return f"nothing has come back for {silence.seconds:.0f} s: {asked}, none received"
    return f"nobody has answered for {silence.seconds:.0f} s: {asked}, {silence.received} received"


def _certain(silence: Silence) -> Iterator[str]:
    if silence.dns_error:
        yield f"the node list in DNS could not be read: {silence.dns_error}"
    if not silence.starts:
        yield "name one: --bootnode enode://...@HOST:PORT, --network mainnet, --input nodes.json or --dns enrtree://..."
        return
    if silence.without_address:
        versions = " and ".join(f"v{version}" for version in silence.versions)
        which = "none of them has" if silence.without_address == silence.starts else f"{silence.without_address} of them have no"
        yield f"{which} {'an ' if which.startswith('none') else ''}address that can be asked by discovery {versions}: give others"
    for why, count in silence.skipped.items():
        if why in _OPTIONS and count >= silence.starts - silence.without_address:
            yield f"--{why} leaves out {count}, and so all of them: change it, or begin with others"
    if silence.not_sent:
        why = f": {silence.send_error}" if silence.send_error else ""
        yield f"the system did not send {silence.not_sent} datagrams{why}; see whether this machine has a network, and may send UDP"
    if silence.expired:
        by = f", by {abs(silence.clock_skew):.0f} s" if silence.clock_skew is not None else ""
        late = silence.clock_skew is None or silence.clock_skew > 0
        ahead = "ahead" if late else "behind"
        yield f"{silence.expired} answers came and were out of date{by}: this machine's clock is {ahead}; set it right (NTP)"
    elif silence.undecoded and silence.undecoded == silence.received:
        yield f"all {silence.undecoded} datagrams that came are of no discovery protocol: is something else at that port?"
    if silence.refused:
        hosts = "one host says" if silence.refused == 1 else f"{silence.refused} hosts say"
        yield f"{hosts} that nobody listens at that UDP port: see whether the node runs, and whether the port is right"

    if silence.taking_calls:
        who = (
            "a node that is silent by UDP takes"
            if silence.taking_calls == 1
            else f"{silence.taking_calls} nodes that are silent by UDP take"
        )
        yield f"{who} connections by TCP: it is UDP that is dropped, by a firewall here or there, or the node's discovery is off"


def _likely(silence: Silence) -> list[str]:
    one = "it" if silence.starts == 1 else "one of them"
    causes = [
        f"try {one} by itself: devp2p discover ping NODE says what comes back",
        "a firewall may drop UDP: allow it out to any port, and answers in",
    ]
    if _is_loopback(silence.listening):
        causes.insert(0, f"our socket is at {silence.listening}, which reaches only this machine: for other nodes leave out --listen")
    if len(silence.versions) == 1:
        other = 5 if silence.versions[0] == 4 else 4
        causes.append(f"the node may speak discovery v{other} only: leave out --v{silence.versions[0]}")
    causes.append("its key may be another one by now: nodes do not answer who calls them by a wrong one")
    return causes


def _is_loopback(address: str) -> bool:
    host = address.removeprefix("udp://").rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
