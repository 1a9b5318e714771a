"""Install what tests/interop takes from Debian's packages: ``python tests/interop/debian.py PROGRAM ...``. What is there is left alone."""

import argparse
import glob
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """What must be there, as a pattern of paths, and the packages that bring it."""

    pattern: str
    packages: tuple[str, ...]

    def path(self) -> str | None:
        """Where it is, if it is there; of several the newest version."""
        return max(glob.glob(self.pattern), default=None)  # noqa: PTH207  (an absolute pattern, which pathlib takes none of)


PROGRAMS: dict[str, Program] = {
    "coturn": Program("/usr/bin/turnserver", ("coturn",)),
    "miniupnpd": Program("/usr/sbin/miniupnpd", ("miniupnpd-nftables", "nftables")),
    "postgresql": Program("/usr/lib/postgresql/*/bin/postgres", ("postgresql",)),
    "chromium": Program("/usr/bin/chromium", ("chromium", "fonts-dejavu-core")),  # without a font it would show boxes
    "haproxy": Program("/usr/sbin/haproxy", ("haproxy",)),  # it listens nowhere until it is told to
    "dante": Program("/usr/sbin/danted", ("dante-server",)),
    "tinyproxy": Program("/usr/bin/tinyproxy", ("tinyproxy-bin",)),
    "ssh": Program("/usr/bin/ssh", ("openssh-client",)),
    "sshd": Program("/usr/sbin/sshd", ("openssh-server",)),
}


class InstallError(Exception):
    """What to tell the user instead of a traceback."""


def apt_get(apt: str, *arguments: str) -> None:
    """Run apt-get, which asks nothing and waits for others that use it."""
    command = [apt, "-q", "-o", "DPkg::Lock::Timeout=300", *arguments]
    done = subprocess.run(
        command, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        said = [line for line in done.stdout.decode(errors="replace").splitlines() if line.startswith("E:")]
        raise InstallError(f"`{' '.join(command)}` failed (exit status {done.returncode}): {said[0] if said else 'it does not say why'}")


def install(name: str) -> str:
    """Path of a program of `PROGRAMS`, installed if it is missing; InstallError says what to do if that is impossible."""
    program = PROGRAMS[name]
    if (path := program.path()) is not None:
        return path
    wanted = f"{name} is missing, which Debian's packages {' '.join(program.packages)} bring"
    apt = shutil.which("apt-get")
    if apt is None:
        raise InstallError(f"{wanted}: install it so that {program.pattern} is there; this system has no apt-get")
    if os.geteuid() != 0:
        raise InstallError(f"{wanted}: run `apt-get install {' '.join(program.packages)}` as root; this user cannot")
    sys.stderr.write(f"installing {' '.join(program.packages)} from Debian's packages\n")
    apt_get(apt, "update")
    apt_get(apt, "install", "-y", "--no-install-recommends", *program.packages)
    if (path := program.path()) is None:
        raise InstallError(f"{' '.join(program.packages)} are installed, and still there is no {program.pattern}")
    return path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Install what tests/interop takes from Debian's packages.")
    parser.add_argument("programs", nargs="+", metavar="PROGRAM", choices=PROGRAMS, help=", ".join(PROGRAMS))
    try:
        for name in parser.parse_args(arguments).programs:
            sys.stderr.write(f"{install(name)} is there\n")
    except InstallError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
