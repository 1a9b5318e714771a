"""Build the programs that tests/interop runs against: ``python tests/interop/build.py [TARGET ...]``.

Everything lands in build/interop/, but for programs from Debian's packages, which debian.py installs. What is up to date is left alone, so
that running this before every test run costs a second or two.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent.parent / "build" / "interop"

GO_PACKAGES = {
    "testpeer": ("geth", "."),
    "dpxpeer": ("geth", "./dpxpeer"),
    "chaintool": ("geth", "./chaintool"),
    "devp2p": ("geth", "github.com/ethereum/go-ethereum/cmd/devp2p"),
    "geth": ("geth", "github.com/ethereum/go-ethereum/cmd/geth"),
    "transportpeer": ("transports", "."),
}
"""Program -> folder of its module here, and package."""
NPM_PROGRAMS = ("ethereumjs", "websocket")
DEBIAN_PROGRAMS = ("chromium", "haproxy", "postgresql", "ssh", "sshd")
TARGETS = (*GO_PACKAGES, *NPM_PROGRAMS, *DEBIAN_PROGRAMS)
DEFAULT_TARGETS = TARGETS


class BuildError(Exception):
    """What to tell the user instead of a traceback."""


def find_tool(target: str) -> str:
    """Path of the program that builds or installs `target`."""
    if target in DEBIAN_PROGRAMS:
        return sys.executable
    name, wanted = ("npm", "npm with Node.js 20.19+") if target in NPM_PROGRAMS else ("go", "Go 1.26+")
    path = shutil.which(name)
    if path is None:
        raise BuildError(f"{wanted} is needed to build {target}: install it from your distribution; no `{name}` was found on the PATH")
    return path


def run(command: list[str], directory: Path) -> None:
    # On stderr, as progress is: the output of this program is the built files.
    status = subprocess.run(command, cwd=directory, stdout=sys.stderr, check=False).returncode
    if status != 0:
        raise BuildError(f"`{' '.join(command)}` failed in {directory} (exit status {status})")


def build_go(go: str, target: str) -> None:
    """Build one Go program; Go's own cache knows what is up to date."""
    module, package = GO_PACKAGES[target]
    run([go, "build", "-buildvcs=false", "-o", str(OUTPUT / target), package], HERE / module)


def build_npm(npm: str, target: str) -> None:
    """Copy a program and install its dependencies next to the copy, so that the source tree stays as it is."""
    source, copy = HERE / target, OUTPUT / target
    if not (source / "package-lock.json").is_file():
        raise BuildError(f"{source / 'package-lock.json'} is missing")
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    wanted = hashlib.sha256((source / "package.json").read_bytes() + (source / "package-lock.json").read_bytes()).hexdigest()
    installed = copy / "node_modules" / ".installed"  # `npm ci` begins by removing node_modules, and this with it
    if not installed.is_file() or installed.read_text() != wanted:
        run([npm, "ci", "--no-audit", "--no-fund"], copy)
        installed.write_text(wanted)


def build(target: str, tool: str) -> None:
    if target in DEBIAN_PROGRAMS:
        run([tool, str(HERE / "debian.py"), target], HERE)
        return
    if target in NPM_PROGRAMS:
        build_npm(tool, target)
    else:
        build_go(tool, target)
    sys.stderr.write(f"{OUTPUT / target} is up to date\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the programs that tests/interop runs against, into build/interop/.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{', '.join(TARGETS)} (default: {' '.join(DEFAULT_TARGETS)})")
    targets: list[str] = parser.parse_args(arguments).targets or list(DEFAULT_TARGETS)
    if unknown := [target for target in targets if target not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}")
    try:
        tools = [find_tool(target) for target in targets]  # before minutes are spent on the first one
        OUTPUT.mkdir(parents=True, exist_ok=True)
        for target, tool in zip(targets, tools, strict=True):
            build(target, tool)
    except BuildError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
