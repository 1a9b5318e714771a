"""dpx/1: what two nodes agree on in auth and ack, and speak from then on instead of RLPx frames.

Everybody else ignores the element that offers it, and has a stock session. The specification is docs/spec/dpx1.md.

- element:      the offer in auth and the accept in ack
- extension:    Dpx offers, answers, and chooses, in all handshakes of a node; pact: what one handshake came to
- keys:         the keys of a session; records: what they seal and open
- framing:      messages in records, whole or in chunks; header: what a frame says of its data
- control:      what the two sides tell each other beside messages
- schedule:     which capability sends next; sender: cuts its messages into frames
- credit:       what may be sent; contexts: what comes in; ledgers: both, and how many control messages a peer may send
- resumption:   secrets from before in handshakes; sealing: what is sealed with them; failures: what is done when it goes otherwise
- acquaintance: what is kept of one peer; lineage: one chain of secrets
- introduction: what one node signs about another for a third
- prelude:      asks a node whose key is not known who it is
- shaping:      what somebody on the way sees of sizes and times
"""

from devp2p.wire.dpx import control, header, introduction
from devp2p.wire.dpx.contexts import Contexts, Whole
from devp2p.wire.dpx.credit import LEAST_CHUNK, SendCredit
from devp2p.wire.dpx.element import (
    Accept,
    Feature,
    Mode,
    Offer,
    Params,
    ResumeVerdict,
    Token,
    Verdict,
    decode_accept,
    decode_offer,
    encode_accept,
    encode_offer,
    find,
)
from devp2p.wire.dpx.extension import OURS, Dpx
from devp2p.wire.dpx.failures import FAILURES, Failure
from devp2p.wire.dpx.framing import DpxFraming
from devp2p.wire.dpx.introduction import Consent, Grade, IntroductionRecord, Introductions, IntroductionVerdict, UsedRecords
from devp2p.wire.dpx.keys import Keys, derive, rekeyed
from devp2p.wire.dpx.ledgers import Ledgers
from devp2p.wire.dpx.pact import Pact
from devp2p.wire.dpx.prelude import Answering, Asking, PreludeEntropy, missing_of_request
from devp2p.wire.dpx.records import RECORDS_PER_KEY, Cipher, RecordOpener, RecordSealer
from devp2p.wire.dpx.resumption import Resumption, TrustLost
from devp2p.wire.dpx.schedule import Turns, window_for
from devp2p.wire.dpx.sender import Frame, Sender
from devp2p.wire.dpx.shaping import UNSHAPED, PadAllowance, Shaper, Shaping, ShapingMode, pads_of

__all__ = [
    "FAILURES",
    "LEAST_CHUNK",
    "OURS",
    "RECORDS_PER_KEY",
    "UNSHAPED",
    "Accept",
    "Answering",
    "Asking",
    "Cipher",
    "Consent",
    "Contexts",
    "Dpx",
    "DpxFraming",
    "Failure",
    "Feature",
    "Frame",
    "Grade",
    "IntroductionRecord",
    "IntroductionVerdict",
    "Introductions",
    "Keys",
    "Ledgers",
    "Mode",
    "Offer",
    "Pact",
    "PadAllowance",
    "Params",
    "PreludeEntropy",
    "RecordOpener",
    "RecordSealer",
    "ResumeVerdict",
    "Resumption",
    "SendCredit",
    "Sender",
    "Shaper",
    "Shaping",
    "ShapingMode",
    "Token",
    "TrustLost",
    "Turns",
    "UsedRecords",
    "Verdict",
    "Whole",
    "control",
    "decode_accept",
    "decode_offer",
    "derive",
    "encode_accept",
    "encode_offer",
    "find",
    "header",
    "introduction",
    "missing_of_request",
    "pads_of",
    "rekeyed",
    "window_for",
]
