"""Node keys as text: 64 hex digits, in a file that only its owner may read.

The file holds the digits and nothing else, not even a newline: so does go-ethereum's, and some clients refuse more. When reading, white
space around the digits and a leading 0x are let pass. No message here quotes what was read: it may be most of a secret.

A file of our own that others can read is refused, as OpenSSH does with its keys: the secret may be known by now, and nobody would notice
a mere warning. Files of somebody else are not ours to judge: a secret that a container gets is root's, and its mode has a reason.
"""

import os
import stat
import tempfile
from pathlib import Path

from devp2p.errors import LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.terminal.output import Exit, Failure

_DIGITS = 64
_MOST = 1024  # characters that are read of a file; no key comes near


def parse_key(text: str) -> PrivateKey | None:
    """Read 64 hex digits; None if `text` is something else, `Failure` for digits that are not a key."""
    digits = text.strip().removeprefix("0x")
    try:
        secret = bytes.fromhex(digits) if len(digits) == _DIGITS else b""
    except ValueError:
        secret = b""
    if not secret:
        return None
    try:
        return PrivateKey.from_bytes(secret)
    except LocalProtocolError as error:
        raise Failure(f"these 64 hex digits are no key: {error}") from None


def read_key(path: str) -> PrivateKey:
    """Read a key file; `Failure` says what is wrong with it, or that others can read it."""
    _require_path(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST + 1)
            found = os.fstat(file.fileno())
    except FileNotFoundError:
        raise Failure(f"there is no key file {path}; make one: devp2p key generate {path}") from None
    except OSError as error:
        raise Failure(f"cannot read the key file {path}: {error.strerror}") from None
    key = parse_key(content.decode("ascii", "replace"))
    if key is None:
        size = f"{len(content)} bytes" if len(content) <= _MOST else f"more than {_MOST} bytes"
        raise Failure(f"{path} is no key file: it has {size}, where 64 hex digits are wanted; to make one: devp2p key generate FILE")
    _refuse_if_others_can_read(path, found)
    return key


def _require_path(path: str) -> None:
    if not path:
        raise Failure("the path of the key file is empty: name a file")


def _refuse_if_others_can_read(path: str, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if os.name != "posix" or not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or not mode & 0o077:
        return
    raise Failure(f"the key file {path} has mode {mode:04o}, so that others may have read the key: chmod 600 {path}, or make a new key")


def write_key(path: str, key: PrivateKey, *, force: bool) -> None:
    """Write a key file with mode 0600; `Failure` if there is one, unless `force` replaces it, or if it cannot be written."""
    _require_path(path)
    if Path(path).is_dir():
        raise Failure(f"{path} is a directory; name a file in it", Exit.FAILED)
    try:
        if force:
            _replace(Path(path), bytes(key).hex())
        else:
            _create(Path(path), bytes(key).hex())
    except FileExistsError:
        raise Failure(f"{path} exists, and a lost key cannot be made again; --force replaces it", Exit.FAILED) from None
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}", Exit.FAILED) from None


def _create(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123  (wants the mode)
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)  # half a key would only stand in the way of the next attempt
            raise


def _replace(path: Path, text: str) -> None:
    """Put a new file in the place of an old one, which is complete until then; the mode is the new one's."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
