"""The report as a page: what peers wrote is text in it and nothing else, whatever they wrote, and everything says as of when it is."""

import re
from base64 import b64encode
from contextlib import closing
from hashlib import sha256
from importlib.resources import files

import pytest
from devp2p_crawler.figures import Share, gather
from devp2p_crawler.model import Batch, Crawl, Kind, Outcome, Said, Sighting, Visit
from devp2p_crawler.report import plots, render
from devp2p_crawler.report.page import MOST_BYTES
from devp2p_crawler.report.svg import SvgError, inline
from devp2p_crawler.stores import SqliteStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.crawler.figures.test_oddities import odd_rows
from tests.crawler.generated import BEGAN, HOSTILE, SECOND, Shape, batches
from tests.crawler.report import inert

STYLE, SCRIPT = (files("devp2p_crawler.report").joinpath("templates", name).read_text("utf-8") for name in ("report.css", "report.js"))
EMPTY_SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'


def stored(path, *rows: Batch) -> SqliteStore:
    store = SqliteStore.create_or_open(path)
    for batch in rows:
        store.write(batch)
    return store


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    path = tmp_path_factory.mktemp("crawls") / "crawl.db"
    with closing(stored(path, *batches(Shape(nodes=100, rounds=1, hostile=0.4)), odd_rows())) as store:
        return gather(store.connection)


@pytest.fixture(scope="module")
def page(findings) -> str:
    return render(findings, written=BEGAN, title=HOSTILE[3])


def test_nothing_is_active_but_the_one_script_and_sheet_of_ours(page):
    faults, text = inert.read(page, STYLE, SCRIPT)
    assert faults == []
    for said in HOSTILE[:3]:
        assert said in text  # shown, as text
    assert "evil⟨U+202E⟩gnp" in text
    assert "W" * 80 + "…" in text
    assert "W" * 81 not in text


def test_the_checker_finds_what_is_active():
    for active in (
        *HOSTILE[:4],
        "<a href='javascript:1'>",
        "<p onclick=x>",
        "<td style='x'>",
        "<use href='http://x'>",
        "<meta http-equiv=refresh>",
    ):
        faults, _ = inert.read(f"<style>{STYLE}</style><p>{active}</p><script>{SCRIPT}</script>", STYLE, SCRIPT)
        assert faults, active


def test_the_policy_names_what_is_in_the_page(page):
    policy = page.partition('Content-Security-Policy" content="')[2].partition('"')[0].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    for tag, text in re.findall(r"<(style|script)>(.*?)</\1>", page, re.DOTALL):
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.index("script-src") > 0


def test_it_is_small_and_says_as_of_when_everything_is(page, findings):
    assert len(page.encode()) < MOST_BYTES
    sections = re.findall(r"<section .*?</section>", page, re.DOTALL)
    assert len(sections) >= 10
    as_of = re.findall(r"<p class=\"asof\">As of <time datetime=\"([^\"]+)\">", page)
    assert len(as_of) == len(sections) + 1
    assert len(set(as_of)) == 1
    assert findings.as_of > BEGAN


def test_each_plot_has_a_title_and_says_what_it_shows(page):
    drawn = re.findall(r"<svg [^>]*role=\"img\"[^>]*>.*?</svg>", page, re.DOTALL)
    assert len(drawn) >= 6
    for plot in drawn:
        assert re.search(r"<title id=\"[\w-]+\">[^<]+</title><desc id=\"[\w-]+\">[^<]{20,}</desc>", plot)
    ids = re.findall(r" id=\"([^\"]+)\"", page)
    assert len(ids) == len(set(ids))


def test_an_empty_file_gives_a_page_that_says_so(tmp_path):
    with closing(stored(tmp_path / "empty.db")) as store:
        page = render(gather(store.connection), written=BEGAN)
    faults, text = inert.read(page, STYLE, SCRIPT)
    assert faults == []
    assert "Nothing of this is in the file." in text


def test_hostile_names_are_inert_in_plots():
    drawn = plots.bars("bars", HOSTILE[0], [Share(name=name, nodes=3) for name in HOSTILE], 30)
    faults, _ = inert.read(f"<style>{STYLE}</style>{drawn}<script>{SCRIPT}</script>", STYLE, SCRIPT)
    assert faults == []


def test_a_plot_with_a_colour_that_no_theme_has_is_refused():
    with pytest.raises(SvgError, match="#123456"):
        inline('<svg xmlns="http://www.w3.org/2000/svg"><path d="M 0 0" style="fill: #123456"/></svg>', "x", "y", "z")


texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=60),
    st.lists(
        st.sampled_from(("<", ">", '"', "'", "&", "</", "script", "<svg", " onload=", "=x", "{{", "]]>", "-->", "\u202e", "`")), max_size=12
    ).map("".join),
)
numbers = st.integers(0, 2**64 - 1)


@settings(max_examples=settings().max_examples // 10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_store_makes_an_active_page(data, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(plots, "plot", lambda name, title, text, *_: inline(EMPTY_SVG, name, title, text))
    path = tmp_path_factory.mktemp("random") / "crawl.db"
    with closing(stored(path, drawn_rows(data.draw))) as store:
        found = gather(store.connection)
    page = render(found, written=BEGAN, title=data.draw(texts))
    assert inert.read(page, STYLE, SCRIPT)[0] == []


def drawn_rows(draw) -> Batch:
    crawls = [
        Crawl(
            id=bytes([number]) * 16,
            vantage=text_of(draw) or "x",
            started=BEGAN,
            updated=draw(st.integers(0, 2**62)),
            ended=None,
            program=text_of(draw),
            settings=text_of(draw),
            counters=draw(
                st.sampled_from(('{"recall": {"estimate": 1, "low": "<b>", "high": 1}, "found": "<b>"}', "[]", "{")) | texts.map(clean)
            ),
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    rows = Batch(crawls=crawls)
    for number in range(draw(st.integers(0, 6))):
        said = Said(
            client=text_of(draw),
            capabilities=tuple(draw(st.lists(texts.map(clean), max_size=3))),
            eth_version=69,
            network_id=draw(numbers),
            genesis=draw(st.binary(min_size=32, max_size=32)),
            fork_hash=draw(st.binary(min_size=4, max_size=4)),
            fork_next=draw(numbers),
            head=bytes(32),
            head_number=draw(numbers),
        )
        crawl, node = draw(st.sampled_from(crawls)), bytes([number]) * 32
        rows.sightings.append(
            Sighting(node=node, public_key=bytes(64), vantage=crawl.vantage, ip=b"\x0a\0\0\1", udp=1, tcp=1, first=BEGAN, last=BEGAN)
        )
        rows.visits.append(
            Visit(
                crawl=crawl.id,
                node=node,
                kind=Kind.RLPX,
                began=BEGAN,
                ended=BEGAN + draw(st.integers(0, 100 * SECOND)),
                outcome=draw(st.sampled_from(Outcome)),
                rtt=draw(st.none() | st.integers(0, 2**40)),
                asked=1,
                said=said,
            )
        )
    return rows


def clean(text: str) -> str:
    """Without what no store takes in a text."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def text_of(draw) -> str:
    return clean(draw(texts))
