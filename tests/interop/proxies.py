"""Proxies that are not ours: Dante (SOCKS5), tinyproxy (HTTP), and OpenSSH's client with ``-D`` (SOCKS5), each as a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop import openssh
from tests.interop.daemons import free_port, listening, program

_DANTE = """
logoutput: {log}
internal: {host} port = {port}
external: {external}
clientmethod: none
socksmethod: {method}
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 }}
"""
_TINYPROXY = """
Listen {host}
Port {port}
Timeout 600
MaxClients 50
LogFile "{log}"
LogLevel Info
"""


def dante_settings(folder: Path, host: str, port: int, external: str, method: str = "none") -> Path:
    """Settings of Dante, which takes connections at one address and makes them from another."""
    path = folder / "danted.conf"
    path.write_text(_DANTE.format(log=folder / "danted.log", host=host, port=port, external=external, method=method))
    return path


@contextmanager
def dante(folder: Path, host: str) -> Iterator[str]:
    port = free_port(host)
    settings = dante_settings(folder, host, port, host)
    with listening([program("dante"), "-f", str(settings)], host, port, folder / "danted.out"):
        yield f"socks5://{_where(host, port)}"


def tinyproxy_settings(folder: Path, host: str, port: int, user: str = "", password: str = "") -> Path:
    """Settings of tinyproxy, which listens at one address."""
    path = folder / "tinyproxy.conf"
    secrets = f"BasicAuth {user} {password}\n" if user else ""
    path.write_text(_TINYPROXY.format(host=host, port=port, log=folder / "tinyproxy.log") + secrets)
    return path


@contextmanager
def tinyproxy(folder: Path, host: str, user: str = "", password: str = "") -> Iterator[str]:
    port = free_port(host)
    settings = tinyproxy_settings(folder, host, port, user, password)
    with listening([program("tinyproxy"), "-d", "-c", str(settings)], host, port, folder / "tinyproxy.out"):
        yield f"http://{f'{user}:{password}@' if user else ''}{_where(host, port)}"


@contextmanager
def ssh(folder: Path, host: str) -> Iterator[str]:
    """OpenSSH's client, which sends what it is asked for to a server of its own."""
    key, port = openssh.make_key(folder / "user"), free_port(host)
    with openssh.server(folder, host, key) as there:
        arguments = [*openssh.client_arguments(folder, key, "BatchMode=yes"), "-p", str(there), "-N", "-D", _where(host, port)]
        command = [program("ssh"), *arguments, f"{openssh.USER}@{host}"]
        with listening(command, host, port, folder / "ssh.out"):
            yield f"socks5://{_where(host, port)}"


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
