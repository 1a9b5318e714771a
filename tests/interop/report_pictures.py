"""The pictures of the crawler's report in docs/: ``python -m tests.interop.report_pictures [--nodes N] [--seconds S]``.

The simulated network is crawled twice, as from two places; the report is written by the command, and photographed by Debian's Chromium at
the width of a desktop and of a phone.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.interop import browsing
from tools.crawler.pictures import ROOT, simulated

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURES = {"crawl-report-desktop.png": (1120, 1500, 1.0), "crawl-report-phone.png": (360, 1400, 1.5)}
"""File in docs/ -> width and height in pixels of CSS, and how many of the picture each is."""
COLOURS = 128  # of the palette: a page of a few colours loses nothing by it, and half of its bytes


def crawl(folder: Path, bootnode: str, seconds: int) -> Path:
    """Crawl from two vantages, one after the other, and write the report."""
    program = [sys.executable, "-m", "devp2p_crawler"]
    database, page = folder / "crawl.db", folder / "report.html"
    for vantage in ("frankfurt", "singapore"):
        command = [*program, "crawl", "--db", str(database), "--bootnode", bootnode, "--vantage", vantage, "--for", str(seconds), "--json"]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
    subprocess.run([*program, "report", "--db", str(database), "--title", "A simulated network", str(page)], check=True, cwd=folder)
    return page


def photograph(browser: "Browser", page: Path, out: Path, size: tuple[int, int, float]) -> None:
    """A picture of the upper part of a page, in few colours."""
    width, height, scale = size
    context = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=scale, color_scheme="light")
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.screenshot(path=out)
    context.close()
    with Image.open(out) as picture:
        few = picture.convert("RGB").quantize(COLOURS)
    few.save(out, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the crawler's report in docs/.")
    parser.add_argument("--nodes", type=int, default=800)
    parser.add_argument("--seconds", type=int, default=60, help="for each of two crawls")
    parser.add_argument("--keep", type=Path, help="where to keep the page itself")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, simulated(arguments.nodes, 1) as bootnode, browsing.chromium() as browser:
        page = crawl(Path(name), bootnode, arguments.seconds)
        if arguments.keep:
            arguments.keep.write_bytes(page.read_bytes())
        for picture, size in PICTURES.items():
            photograph(browser, page, ROOT / "docs" / picture, size)


if __name__ == "__main__":
    main()
