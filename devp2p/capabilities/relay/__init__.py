"""relay/1: links through a node that both sides reach, where neither can reach the other (docs/spec/relay1.md).

`Relay` is the capability. A node that has it dials ``relay://<key>@<relay's key>@<host>:<port>``, and listens at ``relay://<relay's
key>@<host>:<port>``, which reserves a place at that relay; with ``Relay(serve=True)`` it is a relay itself, and by default while nat/1 says
that others reach it. A relayed link proves nobody, so whole handshakes run over it from end to end, and the relay sees ciphers only.

- messages:   what goes over the wire
- limits:     what a relay grants
- voucher:    what a relay signs about a reservation
- lines:      what waits to be sent of one circuit
- circuit:    an end of a circuit as a byte stream
- hop:        relay/1 with one peer
- serving:    the relay's side: reservations, and circuits across it
- transport:  dialling and listening through relays
- capability: `Relay`
"""

from devp2p.capabilities.relay.capability import Relay, relay_server
from devp2p.capabilities.relay.limits import RelayLimits
from devp2p.capabilities.relay.transport import RelayTransport

__all__ = ["Relay", "RelayLimits", "RelayTransport", "relay_server"]
