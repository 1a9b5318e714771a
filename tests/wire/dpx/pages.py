"""Makes the parts of docs/spec/dpx1.md that follow from the code: tables, bytes of examples, and state diagrams.

    python -m tests.wire.dpx.pages            says which parts differ from the page
    python -m tests.wire.dpx.pages --write    writes them into the page

A part stands between ``<!-- made: NAME -->`` and ``<!-- end -->``; its maker is in `PARTS`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from devp2p import rlp
from devp2p.peers import introductions
from devp2p.wire import base
from devp2p.wire.dpx import (
    RECORDS_PER_KEY,
    Accept,
    Feature,
    Mode,
    Offer,
    ResumeVerdict,
    acquaintance,
    contexts,
    control,
    element,
    encode_accept,
    encode_offer,
    header,
    introduction,
    ledgers,
    lineage,
)
from devp2p.wire.dpx.control import (
    BUSY,
    CANCEL,
    CONNECTION,
    TOO_BIG,
    Committed,
    Control,
    Delta,
    GoAway,
    IntroductionConsent,
    IntroductionNote,
    IntroductionRequest,
    Pad,
    Release,
    Reset,
    Shape,
    Weight,
)
from devp2p.wire.dpx.credit import LEAST_CHUNK
from devp2p.wire.dpx.records import HEADER_DATA
from devp2p.wire.dpx.resumption import MOST_PEERS
from devp2p.wire.rlpx import MAX_PACKET
from tests.wire.dpx import specification, states, vectors
from tests.wire.dpx.markdown import Lines, block, table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "spec" / "dpx1.md"
PART = re.compile(r"(<!-- made: ([a-z-]+) -->\n\n)(.*?)(<!-- end -->)", re.DOTALL)

# Negotiation


def features() -> Lines:
    """Each bit, and who has to have it."""
    meaning = {
        Feature.CHACHA20_POLY1305: "records under ChaCha20-Poly1305",
        Feature.MUX: "messages in chunks, under flow control",
        Feature.RESUME: "resumption (section 7)",
        Feature.INTRODUCE: "introduction (section 8)",
        Feature.SHAPE: "traffic shaping (section 10)",
        Feature.AES_256_GCM: "records under AES-256-GCM, chosen if both sides have it",
    }
    assert set(meaning) == set(Feature)
    return table(("bit", "name", "means"), ((bit.value, bit.name, what) for bit, what in meaning.items()))


def modes() -> Lines:
    """The numbers of an accept."""
    yield from table(("mode", "name"), ((mode.value, mode.name) for mode in Mode))
    yield ""
    yield from table(("resumption verdict", "name"), ((verdict.value, verdict.name) for verdict in ResumeVerdict))


def params() -> Lines:
    """What a side announces, and what it is unless told otherwise."""
    default = element.Params()
    names = ("connection_window", "capability_window", "reassembly", "contexts", "max_frame")
    return table(("item", "name", "default"), ((at, name, f"{getattr(default, name):,}") for at, name in enumerate(names)))


def elements() -> Lines:
    """The smallest offer and accept, cut into their items."""
    for title, data in (
        ("offer", encode_offer(Offer(Feature(1 | 2 | 64), vectors.K_I))),
        ("accept", encode_accept(Accept(Feature(1 | 2 | 64), vectors.K_R))),
    ):
        assert data.hex() in {vector["element"] for vector in vectors.elements()}
        names = (
            "magic",
            "features",
            "share",
            *(("mode", "sealed", "verdict") if title == "accept" else ("tokens", "introductions")),
            "params",
        )
        yield from block([f"{title}, {len(data)} bytes"])
        start, end = rlp.list_bounds(data, 0, len(data))
        yield from block([f"  {data[:start].hex():<36} list of {end - start} bytes"])
        for name in names:
            _, after = rlp.split_item(data, start)
            yield from block(in_lines(data[start:after].hex(), name))
            start = after
        if title == "offer":
            yield ""


def in_lines(digits: str, name: str) -> Lines:
    """Some bytes, and behind the last of them what they are."""
    *before, last = (digits[at : at + 64] for at in range(0, len(digits), 64)) if len(digits) > 36 else (digits,)
    yield from (f"  {part}" for part in before)
    yield f"  {last:<36} {name}"


# Records and frames


def record() -> Lines:
    """One whole record."""
    vector = next(one for one in vectors.records() if one["cipher"] == "ChaCha20-Poly1305" and one["number"] == 0)
    data = bytes.fromhex(vector["data"])
    header_data = bytes.fromhex(vector["header_data"])
    plain = specification.padded(len(data).to_bytes(3, "big") + header_data)
    sealed = vector["record"]
    return block(
        [
            f"key           {vector['key']}",
            f"header, plain {plain.hex()}",
            f"data          {vector['data']}",
            f"header        {sealed[:64]}",
            f"body          {sealed[64:128]}",
            f"              {sealed[128:]}",
        ]
    )


def headers() -> Lines:
    """Header-data of each form."""
    rows = (
        ("a Ping of the base protocol", header.Header(0)),
        ("a whole message of the first capability", header.Header(1)),
        ("a control message", header.Header(CONNECTION)),
        ("the first chunk of 70,000 bytes in context 1", header.Header(1, 1, 70_000)),
        ("more of it", header.Header(1, 1)),
        ("the longest that the defaults allow", header.Header(126, 65535, element.Params().reassembly)),
    )
    return table(("frame", "header-data"), ((what, f"`{header.encode(one).hex()}`") for what, one in rows))


SHAPES: dict[type[Control], tuple[str, Control | None]] = {
    Delta: ("[capability, credit]", Delta(CONNECTION, 524_288)),
    Reset: ("[capability, context, code]", Reset(1, 3, TOO_BIG)),
    Weight: ("[capability, weight]", Weight(2, 4)),
    Pad: ("[zeros]", Pad(3)),
    Shape: ("[mode, cell, rate_min, rate_max, gap, budget]", Shape(2, 1024, 0, 0, 0, 52_428_800)),
    Committed: ("[] or [id]", Committed(bytes(range(16)))),
    IntroductionRequest: ("[capability, count]", IntroductionRequest(1, 4)),
    control.Introduction: ("[enr, record]", None),
    IntroductionConsent: ("[subject, mode] or [subject, mode, enr]", IntroductionConsent(b"", 1)),
    IntroductionNote: ("[audience, nonce, expires]", IntroductionNote(bytes(32), bytes(16), 1_800_000_000)),
    GoAway: ("[code]", GoAway(8)),
    Release: ("[capability, context]", Release(1, 3)),
}


def controls() -> Lines:
    """Each control message, and one as bytes."""
    kinds = control._KINDS
    assert set(SHAPES) == set(kinds)

    def rows() -> Iterable[Sequence[object]]:
        for kind, (shape, example) in SHAPES.items():
            data = "" if example is None else control.encode(example).hex()
            shown = f"`{data}`" if 0 < len(data) <= 44 else f"`{data[:40]}…`" if data else "section 8"
            most = kinds[kind].max_size
            yield f"0x{kinds[kind].code:02x}", kind.__name__, f"`{shape}`", most if most <= MAX_PACKET else "a frame", shown

    return table(("code", "name", "list", "bytes at most", "example"), rows())


def reset_codes() -> Lines:
    """The codes of a RESET, and who sends it."""
    rows = (
        (TOO_BIG, "TOO_BIG", "the receiver", "the message is larger than that message may be"),
        (CANCEL, "CANCEL", "the sender", "it gives the message up, or has stopped since it was told to"),
        (BUSY, "BUSY", "the receiver", "it has no room, or nothing came of the message for a minute"),
    )
    return table(("code", "name", "comes from", "means"), rows)


# Limits


def limits() -> Lines:
    """Every number that a rule has."""
    rows: Sequence[tuple[int, str, float]] = (
        (1, "bytes of an auth or ack packet, without its size", MAX_PACKET),
        (1, "tokens in an offer", element.MOST_TOKENS),
        (1, "introductions in an offer", element.MOST_INTRODUCTIONS),
        (1, "bytes of one of them", element._MOST_RECORD),
        (1, "capabilities that can be shared", control.LAST_CAPABILITY),
        (3, "records under one key", RECORDS_PER_KEY),
        (3, "bytes of header-data", HEADER_DATA),
        (4, "bytes of a message of the base protocol, and of the first frame", base.BASE_MESSAGE_SIZE),
        (5, "bytes of a small control message", control.SMALL_SIZE),
        (5, "bytes of an Introduction or an IntroductionNote", control._INTRODUCTION_SIZE),
        (5, "control messages a second", ledgers.CONTROLS_PER_SECOND),
        (5, "the same at once", ledgers.CONTROLS_AT_ONCE),
        (6, "bytes of credit in a window", control.MOST_CREDIT),
        (6, "bytes of a chunk that is not the last, at least", LEAST_CHUNK),
        (6, "smaller ones in a session", contexts.MOST_DRIBBLES),
        (6, "seconds that a context may make no progress", contexts.PATIENCE),
        (6, "refused contexts that are remembered", contexts.MOST_REFUSED),
        (6, "messages begun and given up in a minute", ledgers.CANCELS_PER_MINUTE),
        (6, "messages of the other side refused in a minute", ledgers.REFUSALS_PER_MINUTE),
        (7, "chains with one peer", acquaintance.MOST_LINEAGES),
        (7, "seconds after its last session at which a chain ends", lineage.EXPIRY),
        (7, "seconds until a chain makes a peer known", lineage.DAY),
        (7, "seconds after which no link can confirm a secret any more", lineage.SETTLED),
        (7, "peers of which secrets are kept", MOST_PEERS),
        (8, "bytes of a record", introduction.MAX_RECORD),
        (8, "seconds for which it is good", introduction.LIFETIME),
        (8, "seconds that clocks may differ", introduction.SKEW),
        (8, "grades in it", introduction.MAX_GRADES),
        (8, "live introductions of an introducer", introductions.LIVE),
        (8, "part of a capability's places that introduced peers may have", introductions.SHARE),
        (8, "introducers, of different networks, to protect an introduced peer", introductions.VOUCHERS),
        (8, "seconds for which an introducer counts after its session", introductions.FIT_FOR),
        (8, "seconds for which it pays for a ban", introductions.BLAMED_FOR),
        (8, "requests of one peer that are answered in a minute", introductions.ASKS),
    )
    return table(
        ("section", "what", "number"),
        ((section, what, f"{number:,}" if isinstance(number, int) else f"{number:,g}") for section, what, number in rows),
    )


PARTS: dict[str, Callable[[], Lines]] = {
    "features": features,
    "modes": modes,
    "params": params,
    "elements": elements,
    "record": record,
    "headers": headers,
    "controls": controls,
    "reset-codes": reset_codes,
    "connection-states": states.connection_states,
    "failures": states.failures,
    "limits": limits,
    "context-table": states.context_table,
    "context-states": states.context_states,
}


def text_of(name: str) -> str:
    return "\n".join(PARTS[name]()) + "\n\n"


def made(page: str) -> str:
    """The page with all its parts as the code has them."""
    return PART.sub(lambda part: part[1] + text_of(part[2]) + part[4], page)


def stale(page: str) -> list[str]:
    """The parts of a page that are not as the code has them."""
    return [part[2] for part in PART.finditer(page) if part[3] != text_of(part[2])]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.wire.dpx.pages")
    parser.add_argument("--write", action="store_true")
    page = PAGE.read_text("utf-8")
    if parser.parse_args().write:
        PAGE.write_text(made(page), "utf-8")
        return 0
    different = stale(page)
    sys.stdout.write(f"different: {', '.join(different)}\n" if different else "all as in the code\n")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
