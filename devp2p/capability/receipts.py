"""What a line is told of the messages that it delivered: that a capability has taken one, since credit may hang on that."""

from collections.abc import Callable

from devp2p.capability.queues import Inbox
from devp2p.wire import MessageReceived

Taken = Callable[[MessageReceived], None]
"""Is told of a message that was taken."""


class Receipts:
    """The receipts of one channel. A session may get another line: then nobody is told of what the older one delivered."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.taken: Taken | None = None
        """Who is told, if anybody: the line's own, see `begin`."""
        self._older = 0  # messages in the inbox, from the oldest on, that an older line delivered

    def begin(self, taken: Taken | None) -> None:
        """From now on tell somebody, if anybody, of each message that is taken, of those delivered from now on."""
        self.taken, self._older = taken, len(self._inbox)
        self._inbox.has_credit = taken is not None

    def next(self) -> Taken | None:
        """Who is to be told of the message that has just come out of the inbox, once it is taken: see `give`."""
        if self._older:
            self._older -= 1
            return None
        return self.taken

    def put_back(self, taken: Taken | None) -> None:
        """The message for which `next` gave this is the oldest of the inbox again."""
        if taken is None or taken is not self.taken:
            self._older += 1

    def give(self, taken: Taken | None, received: MessageReceived) -> None:
        """Tell the line that delivered a message that it was taken, unless there is another line by now."""
        if taken is not None and taken is self.taken:
            taken(received)

    def dropped(self, received: MessageReceived) -> None:
        """A message came out of the inbox, or found none who would ever take it: that counts as taken."""
        self.give(self.next(), received)
