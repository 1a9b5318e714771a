"""A crawl from its choices to its summary: what it writes to, what shows it, and how it ends."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import trio

from devp2p import PRESETS, Address, NodeRecord, PrivateKey
from devp2p.terminal import (
    Exit,
    Failure,
    Outlets,
    explain,
    log_to_stderr,
    outlets,
    run_until,
    told_to_end,
    wait_room,
    write_fields,
)
from devp2p_crawler.cli.options import Choices, read_opt_out
from devp2p_crawler.crawling import Crawler, CrawlError, CrawlSettings, run_crawl
from devp2p_crawler.exports import InputError, read_node_set, record_text
from devp2p_crawler.frontier import Politeness
from devp2p_crawler.model import Networks, OptOut, Snapshot
from devp2p_crawler.screen import JsonView, PlainView, Scene, View, exposed, json_lost, live_view, summary, text_lost
from devp2p_crawler.stores import Forwarder, Sink, SinkError, SqliteStore, open_frontier, shown

PATIENCE: Final = 20.0
"""Seconds that a crawl has to write everything once it is told to end."""
_EVERY: Final = 1.0  # seconds between pictures


class Unwanted:
    """Who is not visited: those on the opt-out list, which may be read anew, and those outside of some networks."""

    def __init__(self, opt_out: str | None, net_restrict: Networks | None) -> None:
        self._path = opt_out
        self._net_restrict = net_restrict
        self.opt_out: OptOut = OptOut() if opt_out is None else read_opt_out(opt_out)

    def __call__(self, node: bytes, ip: bytes) -> str | None:
        """Why a node is not visited at an address; None if it may be."""
        if self.opt_out.covers(node, ip):
            return "opt-out"
        if ip and self._net_restrict is not None and not self._net_restrict.covers(ip):
            return "net-restrict"
        return None

    def read_anew(self) -> str:
        """Read the list again; what to tell the user of that. A list that is wrong changes nothing."""
        if self._path is None:
            return "there is no opt-out list to be read anew"
        try:
            self.opt_out = read_opt_out(self._path)
        except Failure as failure:
            return f"{failure}; the list of before is kept"
        return f"the opt-out list was read anew: {len(self.opt_out.nodes)} nodes and {self.opt_out.networks.count} networks"


class Watch(Protocol):
    """What a command has watched while it crawls."""

    @property
    def sink(self) -> Sink:
        """Gets all rows, beside the file."""
        ...

    def news(self) -> Iterable[str]:
        """What is to be said now; asked once a second."""
        ...

    def sum(self) -> Mapping[str, object]:
        """What the summary has of it, once all rows have come."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a crawl needs, before anything is opened."""

    choices: Choices
    settings: CrawlSettings
    unwanted: Unwanted
    scene: Scene
    watch: Watch | None = None


def prepare(choices: Choices, resume: bytes | None = None, *, monitor: bool = False) -> Prepared:
    """Make settings of choices; `Failure` says what does not fit. `resume` is the id of the crawl that goes on."""
    unwanted = Unwanted(choices.opt_out, choices.net_restrict)
    preset = None if choices.network is None else PRESETS[choices.network]
    public = map(NodeRecord.parse, preset.bootnodes if preset is not None else ())
    trees = (preset.dns_tree,) if preset is not None and find_spec("dns") is not None else ()
    try:
        settings = CrawlSettings(
            key=choices.key or PrivateKey.generate(),
            contact=choices.contact,
            vantage=choices.vantage,
            bootnodes=(*choices.bootnode, *public, *_read_inputs(choices.input)),
            dns_trees=(*choices.dns, *trees),
            versions=choices.versions,
            udp_listen=choices.listen,
            tcp_listen=Address("tcp", choices.listen.host, choices.listen.port) if choices.inbound else None,
            dial=choices.dial,
            network=choices.network,
            duration=choices.duration,
            monitor=monitor,
            politeness=Politeness(ports_are_hosts=choices.one_machine),
            unwanted=unwanted,
            resume=resume,
            told=choices.told,
        )
    except ValueError as error:
        raise Failure(str(error)) from None
    versions = " and ".join(f"v{version}" for version in choices.versions)
    scene = Scene(
        what=f"{choices.network or 'the network'} by {versions}{'' if choices.dial else ', without dials'}",
        vantage=choices.vantage,
        db=choices.db,
        duration=choices.duration,
        resumed=resume is not None,
    )
    return Prepared(choices, settings, unwanted, scene)


def crawl(prepared: Prepared) -> int:
    """Crawl, show it, and return the exit status; `Failure` says why that is not possible."""
    choices = prepared.choices
    if choices.dry_run:
        tell_plan(prepared)
        return Exit.OK
    with outlets(json_lost if choices.json else text_lost) as streams:
        with _shown(choices, streams) as (view, leave):
            log_to_stderr(choices.log_level)
            is_whole = _run(prepared, Shown(view, leave, streams))
        streams.check()
    return Exit.OK if is_whole else Exit.FAILED


@dataclass(frozen=True, slots=True)
class Shown:
    """How a crawl is shown."""

    view: View
    leave: Callable[[], object]
    """Gives a terminal back, when the process is ended by force."""
    streams: Outlets


@contextmanager
def _shown(choices: Choices, streams: Outlets) -> Generator[tuple[View, Callable[[], object]]]:
    if choices.json:
        yield JsonView(), _do_nothing
    elif choices.plain or streams.stdout is None or not streams.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield PlainView(), _do_nothing
    else:
        with live_view(streams.stdout) as screen:
            yield screen, screen.leave_at_once


def _do_nothing() -> None:
    pass


def _run(prepared: Prepared, shown: Shown) -> bool:
    """Tell whether all rows were written."""
    try:
        store = SqliteStore.for_crawl(prepared.choices.db)
        return trio.run(_run_until_told, prepared, store, shown)
    except* (CrawlError, Failure, SinkError) as errors:
        raise _first(errors) from None


def _first(errors: BaseExceptionGroup[Exception]) -> Failure:
    error = errors.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(error)
    return error if isinstance(error, Failure) else Failure(str(error), Exit.FAILED)


async def _run_until_told(prepared: Prepared, store: SqliteStore, shown: Shown) -> bool:
    """Crawl until all is done, or until a signal; a second one ends the process at once."""
    view, streams = shown.view, shown.streams
    hang_up = (lambda: view.say(prepared.unwanted.read_anew())) if prepared.choices.opt_out is not None else None
    with told_to_end(patience=PATIENCE, second=shown.leave, hang_up=hang_up) as told:
        until = trio.Event()

        async def wait_end() -> None:
            await streams.wait_end(told)
            until.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_end)
            scene, snapshot = await _crawl(prepared, store, view, until)
            nursery.cancel_scope.cancel()
        if not streams.hurry:  # or nobody might read the summary in time
            await run_until(partial(streams.wait_end, told), lambda _: wait_room())
    view.end({**summary(scene, snapshot), **({} if prepared.watch is None else prepared.watch.sum())})
    return not snapshot.lost


async def _crawl(prepared: Prepared, store: SqliteStore, view: View, until: trio.Event) -> tuple[Scene, Snapshot]:
    """Crawl, with a picture each second."""
    async with trio.open_nursery() as nursery:
        started = Started()
        nursery.start_soon(_show, prepared, view, started)
        sinks = [] if prepared.watch is None else [prepared.watch.sink]
        frontier = None if prepared.choices.frontier is None else open_frontier(prepared.choices.frontier)
        with forwarding(prepared.choices.db, prepared.choices.sink) as forwarders:
            snapshot = await run_crawl(prepared.settings, store, sinks=sinks, on_start=started.take, until=until, frontier=frontier)
            for forwarder in forwarders:
                await trio.to_thread.run_sync(forwarder.close)  # the screen goes on
        nursery.cancel_scope.cancel()
    return started.scene or prepared.scene, snapshot


@contextmanager
def forwarding(db: str, urls: Iterable[str]) -> Generator[list[Forwarder]]:
    """Send what is in a file on to servers, as it grows."""
    with ExitStack() as stack:
        yield [stack.enter_context(Forwarder(db, url)) for url in urls]


class Started:
    """A crawl once it has begun."""

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.crawler: Crawler | None = None
        self.event: trio.Event = trio.Event()

    def take(self, crawler: Crawler) -> None:
        """It has."""
        self.crawler = crawler
        self.event.set()


async def _show(prepared: Prepared, view: View, started: Started) -> None:
    await started.event.wait()
    crawler, choices = started.crawler, prepared.choices
    assert crawler is not None  # noqa: S101  (the event says so)
    async with exposed(choices.metrics, crawler.snapshot, choices.vantage, choices.metrics_name) as urls:
        started.scene = replace(prepared.scene, crawl=crawler.crawl.hex(), listening=crawler.listening, metrics=urls)
        view.begin(started.scene)
        while True:
            view.tick(crawler.snapshot())
            for line in () if prepared.watch is None else prepared.watch.news():
                view.say(line)
            await trio.sleep(_EVERY)


def _read_inputs(paths: Iterable[str]) -> Iterator[NodeRecord]:
    for path in paths:
        try:
            for node in read_node_set(Path(path)):
                yield NodeRecord.parse(record_text(node))
        except InputError as error:
            raise Failure(f"--input: {error}") from None
        except OSError as error:
            raise Failure(f"--input: cannot read {path}: {explain(error)}") from None


def tell_plan(prepared: Prepared) -> None:
    """Say what would be done."""
    choices, settings, unwanted = prepared.choices, prepared.settings, prepared.unwanted
    begins = [f"{len(settings.bootnodes)} {'node' if len(settings.bootnodes) == 1 else 'nodes'}"]
    begins += [f"the node list {tree}" for tree in settings.dns_trees]
    exists = Path(choices.db).exists()
    calls = "call those that answer by TCP, for their Hello and Status" if settings.dial else "call nobody by TCP"
    left_out: list[str] = []
    if choices.opt_out is not None:
        left_out.append(f"{len(unwanted.opt_out.nodes)} nodes and {unwanted.opt_out.networks.count} networks of {choices.opt_out}")
    if choices.net_restrict is not None:
        left_out.append(f"all outside of {choices.net_restrict.count} networks")
    write_fields(
        {
            "would": f"{'go on with a crawl of' if settings.resume else 'crawl'} {prepared.scene.what}, as {settings.client_name}",
            "begin with": " and ".join(begins),
            "ask": f"by discovery {' and '.join(f'v{version}' for version in settings.versions)}, from {settings.udp_listen}",
            "call": calls + (f"; take calls at {settings.tcp_listen}" if settings.tcp_listen is not None else ""),
            "leave out": ", ".join(left_out) or "nobody",
            "write": f"into {choices.db}, which {'exists and is added to' if exists else 'will be made'}"
            + "".join(f"; and from there to {shown(url)}" for url in choices.sink),
            **({} if choices.frontier is None else {"share": f"the frontier of {shown(choices.frontier)}"}),
            "end": "when everybody was visited"
            if settings.duration is None
            else f"after {settings.duration:g} s, or sooner if all are done",
        }
    )
