"""Debian's Chromium, driven by Playwright: for tests of the pages that the crawler writes and serves, and for pictures of them."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.interop import debian

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = (  # it asks nobody for anything but the page
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


@contextmanager
def chromium() -> "Generator[Browser]":
    """A browser, without a window. AssertionError if it is not installed, with what installs it."""
    path = debian.PROGRAMS["chromium"].path()
    if path is None:
        raise AssertionError("not installed: chromium; run `python tests/interop/build.py chromium`, or `make interop`")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  (of requirements/interop.txt, which `make test` need not have)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS])
        try:
            yield browser
        finally:
            browser.close()


# What the contrast of a page is by WCAG 2.2 (1.4.3): of each text, its colour and the first opaque background behind it.
CONTRASTS = """() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const color = parse(getComputedStyle(element).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || ["title", "desc", "SCRIPT"].includes(element.tagName)) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const color = parse(element.ownerSVGElement ? style.fill : style.color);
    const [low, high] = [luminance(color), luminance(behind(element))].sort((a, b) => a - b);
    const size = parseFloat(style.fontSize);
    found.push({
      text: texts.currentNode.data.trim().slice(0, 40),
      ratio: (high + 0.05) / (low + 0.05),
      isLarge: size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700),
    });
  }
  return found;
}"""
