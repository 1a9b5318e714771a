"""The crawler's report in a real browser: it needs no network, its tables sort, nothing of a peer runs in it, and everybody can read it."""

import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
from devp2p_crawler.figures import Findings, gather
from devp2p_crawler.model import Batch
from devp2p_crawler.report import page as report_page
from devp2p_crawler.report import render
from devp2p_crawler.stores import SqliteStore

from tests.crawler.generated import BEGAN, Shape, batches
from tests.interop import browsing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with browsing.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> Findings:
    path = tmp_path_factory.mktemp("crawls") / "crawl.db"
    with closing(SqliteStore.create_or_open(path)) as store:
        for batch in batches(Shape(nodes=400, rounds=4, hostile=0.2, vantages=("frankfurt", "singapore", "new <b>york</b>"))):
            store.write(batch)
        return gather(store.connection)


@pytest.fixture(scope="module")
def report(findings, tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(findings, written=BEGAN), "utf-8")
    return path


def opened(browser: "Browser", path: Path, *, width: int = 1200, scheme: str = "light") -> "Page":
    """A page in a context of its own; what it said on the console and asked for is in `said` and `asked`."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    said, asked = list[str](), list[str]()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.route(re.compile("^(?!file:)"), lambda route: route.abort())
    page.goto(path.as_uri())
    page.said, page.asked = said, asked  # type: ignore[attr-defined]
    return page


@pytest.fixture
def page(browser, report) -> Iterator[Any]:
    page = opened(browser, report)
    yield page
    page.context.close()


def column(page: "Page", table: str, place: int) -> list[str]:
    texts: list[str] = page.locator(f"#{table} tbody tr").evaluate_all(
        "(rows, place) => rows.map((row) => row.cells[place].textContent.trim())", place
    )
    return texts


def test_it_asks_for_nothing_and_breaks_no_rule_of_its_own(page, report):
    page.wait_for_timeout(300)
    assert page.asked == [report.as_uri()]
    assert page.said == []


def test_tables_sort_by_click(page):
    given = column(page, "versions-table", 2)
    assert [int(nodes) for nodes in given] == sorted(map(int, given), reverse=True)
    head = page.locator("#versions-table thead th").nth(2)
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [int(nodes) for nodes in column(page, "versions-table", 2)] == sorted(map(int, given))
    page.locator("#versions-table thead th").nth(1).get_by_role("button").click()
    versions = [tuple(map(int, re.findall(r"\d+", version))) for version in column(page, "versions-table", 1) if version[0].isdigit()]
    assert versions == sorted(versions)  # 1.9 before 1.10
    assert head.get_attribute("aria-sort") == "none"


def test_tables_sort_by_keyboard(page):
    buttons = page.locator("#clients-table thead button")
    buttons.first.focus()
    page.keyboard.press("Enter")
    names = column(page, "clients-table", 0)
    assert names == sorted(names, key=str.lower)
    assert page.locator("#clients-table thead th").first.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert column(page, "clients-table", 0) == names[::-1]
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    counts = [int(nodes.replace(",", "")) for nodes in column(page, "clients-table", 1)]
    assert counts == sorted(counts, reverse=True)


def test_long_tables_begin_short_and_open(page):
    rows = page.locator("#versions-table tbody tr")
    button = page.locator("#versions-table + button")
    assert page.locator("#versions-table tbody tr:visible").count() == 10 < rows.count()
    assert button.get_attribute("aria-expanded") == "false"
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator("#versions-table tbody tr:visible").count() == rows.count()
    assert button.get_attribute("aria-expanded") == "true"


def test_without_scripts_everything_is_there(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("#versions-table tbody tr:visible").count() == page.locator("#versions-table tbody tr").count() > 10
    assert page.locator("button").count() == 0
    context.close()


def run_in(browser: "Browser", path: Path) -> object:
    page = opened(browser, path)
    page.mouse.move(300, 400)
    page.wait_for_timeout(300)
    ran: object = page.evaluate("window.hacked")
    page.context.close()
    return ran


def test_nothing_of_a_peer_runs(browser, findings, report, tmp_path, monkeypatch):
    assert "window.hacked" in report.read_text("utf-8")
    assert run_in(browser, report) is None
    # The controls. Without escaping the policy alone holds; without both a peer's script does run, so that this test would see it.
    monkeypatch.setattr(report_page, "Environment", lambda **options: jinja2.Environment(**{**options, "autoescape": False}))  # noqa: S701
    unescaped = tmp_path / "unescaped.html"
    unescaped.write_text(render(findings, written=BEGAN), "utf-8")
    assert "<script>window.hacked = 1</script>" in unescaped.read_text("utf-8")
    assert run_in(browser, unescaped) is None
    monkeypatch.setattr(report_page, "policy", lambda *_: "default-src * 'unsafe-inline'")
    unescaped.write_text(render(findings, written=BEGAN), "utf-8")
    assert run_in(browser, unescaped) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(browser, report, scheme):
    page = opened(browser, report, scheme=scheme)
    found: list[dict[str, Any]] = page.evaluate(browsing.CONTRASTS)
    assert len(found) > 300
    poor = {(text["text"], round(text["ratio"], 2)) for text in found if text["ratio"] < (3 if text["isLarge"] else 4.5)}
    assert not poor
    colour_of = "(name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    card = page.evaluate(colour_of, "--card")
    for name in ("good", "wait", "bad", "idle", "main", "second", "focus"):
        assert contrast(page.evaluate(colour_of, f"--{name}"), card) >= 3, name
    page.context.close()


def contrast(a: str, b: str) -> float:
    low, high = sorted(map(luminance, (a, b)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("width", [320, 360, 768, 1200])
def test_nothing_scrolls_sideways_but_wide_tables_by_themselves(browser, report, width):
    page = opened(browser, report, width=width)
    for button in page.locator("button.all").all():
        button.click()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    wide = page.locator(".table.wide")
    assert wide.count() >= 2
    assert all(region.get_attribute("tabindex") == "0" and region.get_attribute("aria-label") for region in wide.all())
    texts = page.locator("svg.plot text").first.evaluate("(text) => text.getBoundingClientRect().height")
    assert texts >= 9
    page.context.close()


def test_everything_is_reached_by_keyboard_and_shows_it(page):
    wanted = page.locator("a[href], button, [tabindex='0']").count()
    assert wanted > 40
    reached = set[str]()
    for _ in range(wanted):
        page.keyboard.press("Tab")
        page.wait_for_timeout(1)
        seen = page.evaluate("""() => {
          const element = document.activeElement, style = getComputedStyle(element);
          element.dataset.reached ??= String(document.querySelectorAll("[data-reached]").length);
          return { mark: element.dataset.reached, width: parseFloat(style.outlineWidth), style: style.outlineStyle, tag: element.tagName };
        }""")
        assert seen["tag"] != "BODY"
        assert seen["width"] >= 2, seen
        assert seen["style"] == "solid", seen
        reached.add(seen["mark"])
    assert len(reached) == wanted


def test_plots_and_sections_have_names(page):
    for name in ("Growth of the map", "Clients", "Round-trip times", "How long sessions last"):
        assert page.get_by_role("img", name=name, exact=True).count() == 1
    sections = page.get_by_role("region").all()
    assert len(sections) >= 10
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("table").count() == page.locator("table > caption").count()


def test_the_served_report_is_the_same_page_while_a_crawl_writes_the_file(browser, tmp_path):
    path = tmp_path / "crawl.db"
    with closing(SqliteStore.create_or_open(path)) as store:
        for batch in batches(Shape(nodes=40, rounds=2)):
            store.write(batch)
        command = [sys.executable, "-m", "devp2p_crawler", "serve", "--db", str(path), "--listen", "127.0.0.1:0"]
        with Popen(command, stdout=PIPE, text=True) as process:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert found is not None
            store.write(Batch())
            page = browser.new_page()
            said, asked = list[str](), list[str]()
            page.on("console", lambda message: said.append(message.text))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(found[0])
            assert page.locator("h1").text_content() == "Map of a devp2p network"
            page.locator("#clients-table thead button").first.click()
            assert page.locator("#clients-table thead th").first.get_attribute("aria-sort") == "ascending"
            assert [url for url in asked if not url.endswith("/favicon.ico")] == [found[0]]
            assert [line for line in said if "favicon" not in line and "404" not in line] == []
            nodes = page.request.get(f"{found[0]}api/nodes?limit=3").json()
            assert len(nodes["nodes"]) == 3
            page.close()
            process.terminate()
            assert process.wait(60) == 0
