"""Which event loop runs: this library is trio's, and says so where it is entered from another one, or from none."""

import trio

from devp2p.errors import LocalProtocolError


def require_trio(what: str) -> None:
    """Raise LocalProtocolError outside of a task of trio's; else trio itself fails, with an AttributeError, as under ``asyncio.run``."""
    if not trio.lowlevel.in_trio_task():
        raise LocalProtocolError(f"{what} runs under trio: start the program with trio.run(main), not with asyncio.run(main())")
