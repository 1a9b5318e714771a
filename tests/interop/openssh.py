"""OpenSSH, of Debian's packages: a server with a folder of its own, and what its client needs."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.daemons import free_port, listening, program

USER = os.environ.get("USER") or "root"


def make_key(path: Path, kind: str = "ed25519") -> Path:
    """A new key without a passphrase; its public half is beside it."""
    keygen = str(Path(program("ssh")).parent / "ssh-keygen")
    subprocess.run([keygen, "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    return path


def client_arguments(folder: Path, key: Path, *more: str) -> tuple[str, ...]:
    """What keeps a client from all that this machine's user has: a file of hosts of its own, and one key."""
    settings = [
        f"UserKnownHostsFile={folder}/known_hosts",
        "GlobalKnownHostsFile=/dev/null",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        *more,
    ]
    return ("-F", "/dev/null", "-i", str(key), *(part for setting in settings for part in ("-o", setting)))


@contextmanager
def server(folder: Path, host: str, authorized: Path, *more: str) -> Iterator[int]:
    """A server that lets in the holder of one key, by the user that runs it, and forwards; its port."""
    key = make_key(folder / "host")
    port = free_port(host)
    settings = {
        "ListenAddress": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        "HostKey": key,
        "PidFile": "none",
        "AuthorizedKeysFile": f"{authorized}.pub",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "AllowTcpForwarding": "yes",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()) + "".join(f"{line}\n" for line in more))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with listening([program("sshd"), "-D", "-e", "-f", str(config)], host, port, folder / "sshd.log"):
        (folder / "known_hosts").write_text(f"[{host}]:{port} {(folder / 'host.pub').read_text()}")
        yield port
