"""SCTP as kernels have it (RFC 9260), one association a byte stream; ``ksctp://host:port``.

Few systems have it switched on, and few NATs let it through: ``sctp://`` is SCTP over DTLS, which goes wherever UDP goes.
"""

import socket
from typing import ClassVar

from devp2p.transports.kernel import KernelTransport


class KernelSctpTransport(KernelTransport):
    """Dials and accepts associations of the kernel's SCTP, with one stream each."""

    schemes: frozenset[str] = frozenset({"ksctp"})
    protocol: ClassVar[int] = getattr(socket, "IPPROTO_SCTP", 132)
    missing: ClassVar[str] = "this kernel has no SCTP: `modprobe sctp` loads it where there is a module; sctp:// needs none"
