"""The pictures of the live screen in docs/: ``python -m tools.crawler.pictures``.

A simulated network is crawled in a pseudo-terminal of each size, and what is on that when the crawl has run for a while is written as SVG,
which asks nothing of the network and names no font that has to be fetched.
"""

import argparse
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parents[2]
SIZES: Final = {"crawl-screen.svg": (120, 30), "crawl-screen-narrow.svg": (80, 24)}
"""File in docs/ -> columns and lines."""
_FRAME: Final = re.compile(rb"\x1b\[\?2026h\x1b\[H(.*?)\x1b\[\?2026l", re.DOTALL)
_FONTS: Final = "'DejaVu Sans Mono', 'Fira Code', Menlo, Consolas, monospace"
_THEME: Final = TerminalTheme(
    (22, 24, 29),
    (216, 219, 226),
    [(22, 24, 29), (235, 111, 111), (126, 200, 120), (229, 192, 110), (110, 160, 235), (198, 132, 222), (94, 196, 205), (216, 219, 226)],
    [
        (128, 134, 146),
        (240, 140, 140),
        (150, 220, 145),
        (240, 210, 140),
        (140, 185, 245),
        (215, 160, 235),
        (130, 215, 222),
        (245, 246, 250),
    ],
)


@contextmanager
def simulated(nodes: int, seed: int) -> Generator[str]:
    """A simulated network; gives its bootnode."""
    command = [sys.executable, "-m", "tools.crawler.simulated", "--nodes", str(nodes), "--seed", str(seed), "--until-eof"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (ours)
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        try:
            for line in process.stdout:
                if found := re.search(r"enode://\S+", line):
                    yield found[0]
                    break
            process.stdin.close()
            process.stdout.read()
        finally:
            process.kill()


def last_picture(command: Sequence[str], folder: str, size: tuple[int, int], seconds: float) -> str:
    """What a command shows on a terminal of that size (columns, lines) after so many seconds; it is then told to end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    seen = bytearray()
    with subprocess.Popen(  # noqa: S603  (ours)
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([ours], [], [], left)[0]:
            try:
                seen += os.read(ours, 1 << 16)
            except OSError:  # it has ended
                break
        process.send_signal(signal.SIGINT)
        with suppress(OSError):
            while data := os.read(ours, 1 << 16):  # so that it can end
                seen += data
    os.close(ours)
    frames: list[bytes] = _FRAME.findall(bytes(seen))
    if not frames:
        raise SystemExit(f"{command[0]} has shown no picture: {bytes(seen[-500:]).decode(errors='replace')}")
    return frames[-1].decode().replace("\r\n", "\n")


def as_svg(picture: str, columns: int, title: str) -> str:
    """A picture of a terminal as SVG."""
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False)
    console.print(Text.from_ansi(picture), end="", no_wrap=True, crop=True)
    svg = console.export_svg(title=title, theme=_THEME, unique_id="crawl")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", _FONTS)
    return re.sub(r"[ \t]+\n", "\n", svg)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pictures; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.crawler.pictures", description="Make the pictures of the live screen.")
    parser.add_argument("--nodes", type=int, default=2000, help="of the simulated network (default: 2000)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated network (default: 1)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a crawl has run when it is seen (default: 20)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="DIR", help="where they go (default: docs)")
    options = parser.parse_args(arguments)
    if not options.out.is_dir():
        parser.error(f"--out is a directory that exists, not {options.out}")
    for name, (columns, lines) in SIZES.items():
        with simulated(options.nodes, options.seed) as bootnode, tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "devp2p_crawler", "crawl", "--db", "network.db", "--bootnode", bootnode, "--for", "120"]
            shown = last_picture(command, folder, (columns, lines), options.seconds)
        svg = as_svg(shown, columns, "devp2p-crawl crawl")
        (options.out / name).write_text(svg, "utf-8")
        print(f"{options.out / name}: {columns} x {lines}, {len(svg) // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
