"""Pact: what the two sides of one handshake have come to in dpx/1. The line of a session and the extension that made it share it."""

from collections.abc import Callable
from typing import Final

from devp2p.keys import PublicKey
from devp2p.trust import Profile
from devp2p.wire.dpx.control import Control
from devp2p.wire.dpx.element import Accept, Feature, Mode, Offer, Params
from devp2p.wire.dpx.keys import Keys

PROTOCOL: Final = "dpx/1"
_NAMES: Final = {
    Feature.MUX: "mux",
    Feature.RESUME: "resume",
    Feature.INTRODUCE: "introduce",
    Feature.SHAPE: "shape",
    Feature.AES_256_GCM: "aes-256-gcm",
}


class Pact:
    """One session's agreement. It proves nothing before the peer's first record is authentic."""

    def __init__(self, remote: PublicKey, offer: Offer, accept: Accept, keys: Keys, *, initiated: bool) -> None:
        self.remote: Final = remote
        self.initiated: Final = initiated
        """Whether the offer is ours."""
        self.offer: Final = offer
        self.accept: Final = accept
        self.keys: Final = keys
        """Those that outlive the first records: resumption and exporter."""
        names = tuple(name for bit, name in _NAMES.items() if bit in accept.features)
        self.profile: Profile = Profile(PROTOCOL, names, "introduced" if accept.mode is Mode.INTRODUCED else "plain")
        """What users see of it; whoever knows why the peer is trusted replaces it when the peer has proved itself."""
        self.to_send: list[Control] = []
        """What is to be said to the peer beside what the line says of itself; `say` puts it there."""
        self.on_more: Callable[[], None] = _nobody
        """Wakes the line, which has to look into `to_send`."""
        self.heard: Callable[[Control], None] = _nobody_hears
        """Is given each control message that is not for the line: those of resumption and of introductions."""
        self.is_broken: bool = False
        """Whether the first record was not authentic: somebody is on the way, or the other end has other secrets than we."""

    @property
    def features(self) -> Feature:
        """What both sides do."""
        return self.accept.features

    @property
    def mode(self) -> Mode:
        """How the session begins."""
        return self.accept.mode

    @property
    def ours(self) -> Params:
        """What we take in."""
        return self.offer.params if self.initiated else self.accept.params

    @property
    def theirs(self) -> Params:
        """What the peer takes in."""
        return self.accept.params if self.initiated else self.offer.params

    def say(self, control: Control) -> None:
        """Have a control message sent."""
        self.to_send.append(control)
        self.on_more()

    def end(self) -> None:
        """The session is over: nobody is woken or told of anything any more."""
        self.on_more, self.heard = _nobody, _nobody_hears


def _nobody() -> None:
    pass


def _nobody_hears(_: Control) -> None:
    pass
