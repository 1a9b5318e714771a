"""Finding the capabilities that ``devp2p node --capability`` names.

They are named by ``module:Class``; ``module:object``, for one that is made with arguments; ``module:function``, for a function that makes
one or several, such as all versions of a protocol, which share their state; or by the name under which an installed distribution has
registered any of these in the entry-point group ``devp2p.capabilities``.

A class or function whose parameters are called ``chain``, ``state`` or ``pool`` gets those of the node that ``devp2p node --network`` or
``--chain`` describes; others must have defaults.

What a user got wrong is a `Failure`. An exception out of the capability's own code goes on as it is, with its traceback: its author wants
to see it.
"""

import importlib
import inspect
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeGuard, cast

from devp2p.capability import AnyCapability, Capability
from devp2p.errors import LocalProtocolError
from devp2p.terminal import Failure
from devp2p.wire import CapabilityVersion

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "devp2p.capabilities"
NOTHING: Mapping[str, object] = MappingProxyType({})
_WANTED = {
    "chain": "--network NAME or GENESIS.json, or --chain DB, says which chain that is",
    "state": "--chain DB names a chain with the state of one of its last blocks, which `devp2p chain import --state` brings into it",
}
"""Parameters for which a node has something, and what to write where it has nothing."""


def load(names: Iterable[str], given: Mapping[str, object] = NOTHING) -> tuple[AnyCapability, ...]:
    """Make the named capabilities; `Failure` says what is wrong with one. `given`: arguments for parameters of these names."""
    capabilities: dict[CapabilityVersion, AnyCapability] = {}
    for name in names:
        for capability in _load(name, given):
            try:
                offer = capability.table().spec.offer
            except LocalProtocolError as error:
                raise Failure(f"capability {name}: {error}") from None
            if offer in capabilities:
                raise Failure(f"capability {name}: there is a {offer} already")
            capabilities[offer] = capability
    return tuple(capabilities.values())


def describe_installed() -> str:
    """What ``--capability`` can name without a colon, in one sentence."""
    plugins = [f"{found.name} ({found.value}{_origin(found)})" for found in sorted(_installed())]
    return f"installed plugins: {', '.join(plugins)}" if plugins else "no plugin is installed"


def _installed() -> "Iterable[EntryPoint]":
    from importlib.metadata import entry_points  # noqa: PLC0415  (slow to import, and hardly ever needed)

    return entry_points(group=GROUP)


def _origin(found: "EntryPoint") -> str:
    return f" of {found.dist.name} {found.dist.version}" if found.dist else ""


def _load(name: str, given: Mapping[str, object]) -> tuple[AnyCapability, ...]:
    module, colon, attribute = name.partition(":")
    where = f"capability {name}"
    if not colon:
        if "/" in name or name.endswith(".py"):
            raise Failure(f"{where}: a file is named as Python imports it, with the class behind it: {_as_module(name)}:Class")
        module, attribute, where = _find_plugin(name)
    elif "/" in module or module.endswith(".py"):
        raise Failure(f"{where}: a file is named as Python imports it: {_as_module(module)}:{attribute}")
    if not attribute or not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        raise Failure(f"{where}: '{module}:{attribute}' is not of the form module:Class, such as examples.chat:Chat")
    return _make(_find_attribute(_import(module, where), attribute, where), where, given)


def _as_module(path: str) -> str:
    return ".".join(part for part in path.removesuffix(".py").split("/") if part not in {"", ".", ".."})


def _find_plugin(name: str) -> tuple[str, str, str]:
    """Module, attribute, and what to call the plugin when something is wrong with it."""
    matching = sorted({found.value: found for found in _installed() if found.name == name}.items())
    if not matching:
        raise Failure(f"there is no plugin {name!r}; {describe_installed()}; a class in a module is named module:Class")
    if len(matching) > 1:
        several = " and ".join(f"{value}{_origin(found)}" for value, found in matching)
        raise Failure(f"plugin {name!r} could be {several}; say which: --capability {matching[0][0]}")
    found = matching[0][1]
    module, _, attribute = found.value.partition("[")[0].partition(":")  # in brackets are extras, which are pip's concern
    return module.strip(), attribute.strip(), f"plugin {name}{_origin(found)}"


def _import(module: str, where: str) -> object:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, but something that it imports is not
        raise Failure(f"{where}: there is no module {error.name!r}, neither in this directory ({here}) nor installed") from None
    except LocalProtocolError as error:  # of a capability's class that cannot be right
        raise Failure(f"{where}: {error}") from None


def _find_attribute(module: object, attribute: str, where: str) -> object:
    found = module
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            classes = [name for name, value in vars(module).items() if _is_capability_class(value) and value is not Capability]
            raise Failure(f"{where}: there is no {attribute!r} in the module; its capabilities: {', '.join(classes) or 'none'}") from None
    return found


def _is_capability(value: object) -> TypeGuard[AnyCapability]:
    return isinstance(value, Capability)


def _is_capability_class(value: object) -> TypeGuard[type[AnyCapability]]:
    return isinstance(value, type) and issubclass(value, Capability)


def _make(found: object, where: str, given: Mapping[str, object]) -> tuple[AnyCapability, ...]:
    if _is_capability(found):
        return (found,)
    if _is_capability_class(found) and inspect.isabstract(found):
        raise Failure(f"{where}: {found.__name__} does not define {', '.join(sorted(found.__abstractmethods__))}()")
    if not callable(found) or (isinstance(found, type) and not _is_capability_class(found)):
        raise Failure(f"{where}: {_what(found)} is no capability; it has to be a subclass of devp2p.Capability")
    name: str = getattr(found, "__name__", repr(found))
    signature = inspect.signature(found)
    arguments = {parameter: value for parameter, value in given.items() if parameter in signature.parameters}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        hint = "make one in a module, and name that object: module:object"
        for parameter, instead in _WANTED.items():
            if parameter in signature.parameters and parameter not in given:
                hint = instead
                break
        raise Failure(f"{where}: {name}() wants arguments ({error}); {hint}") from None
    made = _several(found(**arguments))
    capabilities = tuple(one for one in made if _is_capability(one))
    if not capabilities or len(capabilities) < len(made):
        what = next((_what(one) for one in made if not _is_capability(one)), "none")
        raise Failure(f"{where}: {name}() makes {what}, where a capability is wanted, or a tuple of several")
    return capabilities


def _several(made: object) -> tuple[object, ...]:
    return tuple(cast("Iterable[object]", made)) if isinstance(made, tuple | list) else (made,)


def _what(found: object) -> str:
    return found.__name__ if isinstance(found, type) else f"a {type(found).__name__}"
