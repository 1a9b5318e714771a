"""Where options come from: flags go before the environment, that before a file, and that before what a resumed crawl was told.

Every option is read from text by one function, wherever it stands, so that its error is the same one everywhere, and names the place.
"""

import argparse
import difflib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from devp2p.terminal import Failure, explain

PREFIX: Final = "DEVP2P_CRAWL_"
_LARGEST: Final = 1 << 20  # bytes of a file
_YES: Final = ("1", "true", "yes", "on")
_NO: Final = ("0", "false", "no", "off", "")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: ``--name`` as a flag, ``DEVP2P_CRAWL_NAME`` in the environment, ``name`` in a file."""

    name: str
    help: str
    metavar: str = ""
    """Empty for a switch."""
    read: Callable[[str], object] = str
    """Makes a value of text; ArgumentTypeError, ValueError or `Failure` says what to write instead."""
    many: bool = False
    """Whether it may be given several times."""
    default: object = None
    is_path: bool = False
    """Whether it is a path; one in a file is relative to the folder of that file."""
    is_kept: bool = True
    """Whether a crawl that is resumed has it from before."""


@dataclass(frozen=True, slots=True)
class Given:
    """The texts of one option, and where they stand."""

    texts: tuple[str, ...]
    where: str


def add_flags(parser: argparse.ArgumentParser, groups: Mapping[str, Sequence[Option]]) -> None:
    """Let a parser take them as flags; what they say is read by `resolve` alone."""
    for title, options in groups.items():
        group = parser.add_argument_group(title)
        for option in options:
            if not option.metavar:
                group.add_argument(f"--{option.name}", dest=option.name, action="store_const", const=["true"], help=option.help)
            elif option.many:
                group.add_argument(
                    f"--{option.name}", dest=option.name, action="extend", nargs="+", metavar=option.metavar, help=option.help
                )
            else:
                group.add_argument(f"--{option.name}", dest=option.name, action="append", metavar=option.metavar, help=option.help)


def resolve(
    options: Sequence[Option],
    rivals: Sequence[frozenset[str]],
    flags: argparse.Namespace,
    environment: Mapping[str, str],
    before: Callable[[Mapping[str, Given]], Mapping[str, Given]] = lambda _: {},
) -> tuple[dict[str, Any], dict[str, Given]]:
    """The value of each option, and for each that was given its text and place; `Failure` says what is wrong with one, and where it stands.

    `rivals`: options of which one is given at most; one that is given nearer by puts the others out. `before`: what was told before, given
    what is told now.
    """
    known = {option.name: option for option in options}
    layers = [_of_flags(known, flags), _of_environment(known, environment)]
    config = next((layer["config"] for layer in layers if "config" in layer), None)
    if config is not None:
        layers.append(_of_file(known, config.texts[-1], config.where))
    given: dict[str, Given] = {}
    for layer in layers:
        _merge(given, layer, rivals)
    _merge(given, before(given), rivals)
    return {name: _value(option, given.get(name)) for name, option in known.items()}, given


def as_told(options: Iterable[Option], given: Mapping[str, Given]) -> str:
    """What of all that is kept with a crawl, as JSON; paths are made whole."""
    kept = {option.name: given[option.name].texts for option in options if option.is_kept and option.name in given}
    paths = {option.name for option in options if option.is_path}
    return json.dumps({name: [str(Path(text).absolute()) if name in paths else text for text in texts] for name, texts in kept.items()})


def from_told(options: Iterable[Option], told: str, where: str) -> dict[str, Given]:
    """The reverse; what is not understood, as it may be of a later release, is left out."""
    known = {option.name for option in options if option.is_kept}
    found: object = json.loads(told) if told else {}
    if not isinstance(found, dict):
        return {}
    return {
        name: Given(tuple(map(str, cast("list[object]", texts))), where)
        for name, texts in cast("dict[str, object]", found).items()
        if name in known and isinstance(texts, list)
    }


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean x?``, or nothing."""
    names = list(known)
    found = difflib.get_close_matches(name.lower().replace("_", "-"), names, 1, 0.5)
    return f": did you mean {found[0]}?" if found else f": there are {', '.join(sorted(names))}"


def _merge(given: dict[str, Given], layer: Mapping[str, Given], rivals: Sequence[frozenset[str]]) -> None:
    for group in rivals:
        told = [name for name in layer if name in group]
        if len(told) > 1:
            names = " and ".join(dict.fromkeys(layer[name].where for name in told))
            raise Failure(f"{names} exclude each other: give one of them")
    settled = {name for group in rivals if group & given.keys() for name in group}
    for name, one in layer.items():
        if name not in settled:
            given.setdefault(name, one)


def _of_flags(known: Mapping[str, Option], flags: argparse.Namespace) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for name, option in known.items():
        texts: list[str] | None = getattr(flags, name, None)
        if texts is None:
            continue
        if len(texts) > 1 and not option.many:
            raise Failure(f"--{name} is given {len(texts)} times, and is one thing: give it once")
        found[name] = Given(tuple(texts), f"--{name}")
    return found


def _of_environment(known: Mapping[str, Option], environment: Mapping[str, str]) -> dict[str, Given]:
    by_variable = {PREFIX + name.upper().replace("-", "_"): option for name, option in known.items()}
    found: dict[str, Given] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        option = by_variable.get(variable)
        if option is None:
            close = difflib.get_close_matches(variable, by_variable, 1, 0.5)
            raise Failure(f"there is no option {variable} for the environment{f': did you mean {close[0]}?' if close else ''}")
        texts = tuple(part.strip() for part in text.split(",") if part.strip()) if option.many else (text,)
        if not option.metavar and not _switch(text, variable):
            continue
        found[option.name] = Given(texts, variable)
    return found


def _of_file(known: Mapping[str, Option], path: str, where: str) -> dict[str, Given]:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise Failure(f"{where}: cannot read {path}: {explain(error)}; name a file of options in TOML") from None
    if len(data) > _LARGEST:
        raise Failure(f"{where}: {path} is larger than 1 MiB: name a file of options in TOML")
    try:
        settings = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:
        raise Failure(f"{path} is not TOML: {error}; write lines such as: for = 600") from None
    found: dict[str, Given] = {}
    for key, value in settings.items():
        option = known.get(key) if key != "config" else None
        if option is None:
            raise Failure(f"{path}: there is no option {key!r} for a file{nearest(key, set(known) - {'config'})}")
        texts = _texts(option, value, f"{path}: {key}", Path(path).parent)
        if texts:
            found[key] = Given(texts, f"{path}: {key}")
    return found


def _texts(option: Option, value: object, where: str, folder: Path) -> tuple[str, ...]:
    values = cast("list[object]", value) if isinstance(value, list) else [value]
    if not option.metavar:
        if not isinstance(value, bool):
            raise Failure(f"{where}: true or false is wanted, not {value!r}")
        return ("true",) if value else ()
    if isinstance(value, list) and not option.many:
        raise Failure(f"{where}: one value is wanted, not a list")
    for one in values:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            example = '["one", "another"]' if option.many else '"one"'
            raise Failure(f"{where}: text or a number is wanted, such as {example}, not {str(one)[:80]}")
    if option.is_path:
        return tuple(str(folder / str(one)) if one else "" for one in values)
    return tuple(map(str, values))


def _switch(text: str, where: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise Failure(f"{where}: 1 or 0 is wanted, not {text[:80]!r}")


def _value(option: Option, given: Given | None) -> object:
    if not option.metavar:
        return given is not None
    if given is None:
        return () if option.many else option.default
    values = [_read(option, text, given.where) for text in given.texts]
    return tuple(values) if option.many else values[0]


def _read(option: Option, text: str, where: str) -> object:
    try:
        return option.read(text)
    except (argparse.ArgumentTypeError, ValueError, Failure) as error:
        raise Failure(f"{where}: {error}") from None
