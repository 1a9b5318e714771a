"""Calls of a user's code that must not end the node, whatever a stranger made it fail at."""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
V = TypeVar("V")

_logger = logging.getLogger(__name__)


def unless_it_fails(call: Callable[P, V], otherwise: V, quietly: tuple[type[Exception], ...] = ()) -> Callable[P, V]:
    """Make a plugin's `wants` or `metric`, a handler of TALKREQ and the like safe to call.

    Where `call` fails, the answer is `otherwise`. The first failure is logged with its traceback, and those to come are not, since
    strangers could have any number of them; what is among `quietly` never is.
    """
    told = False

    def ask(*args: P.args, **kwargs: P.kwargs) -> V:
        nonlocal told
        try:
            return call(*args, **kwargs)
        except quietly:
            return otherwise
        except Exception:
            if not told:
                _logger.exception("%s failed, and is taken for %r whenever it does", call, otherwise)
                told = True
            return otherwise

    return ask
