"""Faces that import what they hand on when it is asked for (PEP 562), since who does without it need not wait for it."""

from collections.abc import Callable, Mapping
from importlib import import_module


def deferred(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """Make the ``__getattr__`` of a package; `names` says in which of its modules each name is. AttributeError for any other."""

    def __getattr__(name: str) -> object:  # noqa: N807  (that is its name in the package)
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{names[name]}"), name)

    return __getattr__
