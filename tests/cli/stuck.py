"""A capability that keeps the loop for itself."""

import time

from devp2p import Channel, Peer
from tests.chat import Chat, ChatMessage


class Stuck(Chat):
    async def run(self, peer: Peer, channel: Channel[ChatMessage]) -> None:
        print(f"stuck with {peer.client_id}, {channel}")  # noqa: T201
        time.sleep(600)  # noqa: ASYNC251  (this is what it is for)
