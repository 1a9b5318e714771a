"""py-libp2p and go-libp2p, which transports are measured beside: how they come, and how their processes are started.

py-libp2p has an environment of its own under build/bench, from requirements/libp2p.txt, since it brings more packages than this project
has. go-libp2p is a program in a module of its own. Both are made when they are first needed.
"""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from tools.bench.sides import ROOT, Side

LOCK = ROOT / "requirements" / "libp2p.txt"
_HERE = Path(__file__).resolve().parent
_HOME = ROOT / "build" / "bench" / "libp2p"
_STAMP = _HOME / "installed.txt"
_GO_BINARY = ROOT / "build" / "bench" / "golibp2p"

PY_LIBP2P = Side("py-libp2p", (str(_HOME / "bin" / "python"), str(_HERE / "pylibp2p" / "peer.py")))
GO_LIBP2P = Side("go-libp2p", (str(_GO_BINARY),))


@cache
def why_not(side: Side) -> str | None:
    """Install or build one of the two; None once it is there, else why it cannot be. What went wrong is told on stderr, once."""
    problem = _install() if side is PY_LIBP2P else _build()
    if problem is not None:
        sys.stderr.write(f"No figures of {side.name}: {problem}\n")
    return problem


def _install() -> str | None:
    wanted = LOCK.read_text("utf-8")
    if _STAMP.exists() and _STAMP.read_text("utf-8") == wanted:
        return None
    sys.stderr.write(f"Installing {LOCK.relative_to(ROOT)} into {_HOME.relative_to(ROOT)}\n")
    python = _HOME / "bin" / "python"
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", str(LOCK))
    problem = _run(sys.executable, "-m", "venv", "--clear", str(_HOME)) or _run(*pip)
    if problem is None:
        _STAMP.write_text(wanted, "utf-8")
    return problem


def _build() -> str | None:
    go = shutil.which("go")
    if go is None:
        return "no `go` was found on the PATH"
    _GO_BINARY.parent.mkdir(parents=True, exist_ok=True)
    return _run(go, "build", "-buildvcs=false", "-o", str(_GO_BINARY), ".", folder=_HERE / "golibp2p")


def _run(*command: str, folder: Path = ROOT) -> str | None:
    """Run a program; None if it ends well, else its last words."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603  (this Python, and the user's Go)
    if not done.returncode:
        return None
    words = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
    return f"`{Path(command[0]).name} {' '.join(command[1:4])}` failed: {words[-1]}"
