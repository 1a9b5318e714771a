"""The plots of a report."""

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from devp2p_crawler.analysis import Readiness
from devp2p_crawler.figures import Lifetimes, Moment, Network, Overlap, Rtts, Share
from devp2p_crawler.report.drawing import (
    BAR,
    HEIGHT,
    LABEL,
    Axes,
    annotate,
    compact_counts,
    formatted,
    legend,
    only_names,
    plot,
    room,
    ticker,
    unit,
)
from devp2p_crawler.report.numbers import compact, percent, span
from devp2p_crawler.report.svg import Ink
from devp2p_crawler.report.visible import plain

_MICROSECONDS: Final = 1_000_000
_EARLY: Final = 20  # times as long as it took to find half of the nodes
_TIMES: Final = (
    (1, "1 s"),
    (10, "10 s"),
    (60, "1 min"),
    (600, "10 min"),
    (3_600, "1 h"),
    (21_600, "6 h"),
    (86_400, "1 d"),
    (604_800, "1 w"),
)


def growth(moments: Sequence[Moment]) -> Markup:
    """How many nodes were known at each time, and what had become of them. Where most came early, the time has a logarithmic scale."""
    began, last = moments[0].at, moments[-1]
    seconds = [(moment.at - began) / _MICROSECONDS for moment in moments]
    half = next(second for second, moment in zip(seconds, moments, strict=True) if 2 * moment.discovered >= last.discovered)
    is_early = seconds[-1] > _EARLY * max(half, 1)
    size, name = (1, "") if is_early else unit(last.at - began)
    times = [max(second, 1) if is_early else second * _MICROSECONDS / size for second in seconds]
    states = [
        ("measured", Ink.GOOD, [moment.measured for moment in moments]),
        ("pending", Ink.WAIT, [moment.pending for moment in moments]),
        ("failed", Ink.IDLE, [moment.failed for moment in moments]),
        ("queued", Ink.MAIN, [moment.queued for moment in moments]),
    ]

    def draw(axes: Axes) -> None:
        axes.stackplot(
            times,
            *[counts for _, _, counts in states],
            labels=[state for state, _, _ in states],
            colors=[colour for _, colour, _ in states],
            linewidth=0,
        )
        axes.plot(times, [moment.discovered for moment in moments], color=Ink.TEXT, linewidth=1.4, label="discovered")
        if is_early:
            ticks = [(second, word) for second, word in _TIMES if second <= times[-1]]
            axes.set_xscale("log")
            axes.set_xticks([second for second, _ in ticks], [word for _, word in ticks])
            axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.set_xlim(times[0], times[-1])
        axes.set_xlabel(f"{name} since the first sighting".strip() + (", logarithmic" if is_early else ""))
        axes.yaxis.set_major_formatter(compact_counts())
        axes.set_ylim(bottom=0)
        legend(axes, 3)

    shares = ", ".join(f"{counts[-1]:,} {state}" for state, _, counts in states)
    text = f"Stacked areas over {span(last.at - began)}. At the end {last.discovered:,} nodes were discovered: {shares}."
    return plot("growth", "Growth of the map", text, draw, HEIGHT + 40)


def bars(name: str, title: str, shares: Sequence[Share], total: int) -> Markup:
    """Horizontal bars, the longest first, with count and share of `total` at the end of each."""
    names = [plain(share.name, LABEL) for share in shares]

    def draw(axes: Axes) -> None:
        counts = [share.nodes for share in shares]
        axes.barh(range(len(shares)), counts, color=Ink.MAIN, height=0.66)
        for place, count in enumerate(counts):
            axes.annotate(
                f"{count:,} ({percent(count, total)})",
                (count, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=Ink.TEXT,
            )
        axes.set_yticks(range(len(shares)), names, color=Ink.TEXT)
        axes.set_xlim(0, max(counts) * room(names))
        only_names(axes)

    text = "Horizontal bars: " + "; ".join(f"{plain(share.name, LABEL)} {share.nodes:,}" for share in shares) + "."
    return plot(name, title, text, draw, BAR * len(shares) + 16)


def readiness(networks: Sequence[Network], words: Mapping[Readiness, str]) -> Markup:
    """For each network, the share of its nodes that is ready for its next fork; `words` is what to call each state."""
    inks = {
        Readiness.READY: Ink.GOOD,
        Readiness.AHEAD: Ink.SECOND,
        Readiness.BEHIND: Ink.MAIN,
        Readiness.NOT_READY: Ink.WAIT,
        Readiness.STALE: Ink.BAD,
        Readiness.UNKNOWN: Ink.IDLE,
    }
    inks = {state: ink for state, ink in inks.items() if any(network.readiness.get(state) for network in networks)}
    parts = [(words[state], colour, [network.readiness.get(state, 0) for network in networks]) for state, colour in inks.items()]
    names = [network.name or f"network {network.network_id}"[:LABEL] for network in networks]

    def draw(axes: Axes) -> None:
        left = [0.0] * len(networks)
        for label, colour, counts in parts:
            widths = [100 * count / network.nodes for count, network in zip(counts, networks, strict=True)]
            axes.barh(range(len(networks)), widths, left=left, color=colour, height=0.66, label=label)
            left = [before + width for before, width in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(networks)), names, color=Ink.TEXT)
        axes.set_xlim(0, 100)
        only_names(axes)
        axes.xaxis.set_visible(True)
        axes.xaxis.set_major_formatter(formatted(lambda value: f"{value:g} %"))
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        legend(axes, 3)

    told = [
        f"{name}: " + ", ".join(f"{network.readiness.get(state, 0):,} {words[state]}" for state in inks)
        for name, network in zip(names, networks, strict=True)
    ]
    return plot("readiness", "Fork readiness by network", f"Stacked bars. {'; '.join(told)}.", draw, BAR * len(networks) + 84)


def rtts(found: Rtts) -> Markup:
    """Which share of nodes answers within which time."""

    def draw(axes: Axes) -> None:
        axes.plot([max(time, 1) / 1000 for _, time in found.quantiles], [100 * share for share, _ in found.quantiles], color=Ink.MAIN)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(formatted(lambda value: f"{value:g}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel("round-trip time, milliseconds")
        axes.set_ylabel("% of nodes within it")
        axes.set_ylim(0, 101)
        axes.grid(visible=True)

    chosen = {share: time for share, time in found.quantiles if share in {0.1, 0.5, 0.9}}
    told = ", ".join(f"{share:.0%} within {span(time)}" for share, time in chosen.items())
    return plot("rtt", "Round-trip times", f"Cumulative curve of {found.nodes:,} nodes: {told}.", draw)


def pareto(failures: Sequence[tuple[str, int]]) -> Markup:
    """Failures, the most frequent first, and the share that the first ones make together."""
    total = sum(count for _, count in failures)
    names = [plain(name, LABEL) for name, _ in failures]

    def draw(axes: Axes) -> None:
        places = range(len(failures))
        axes.barh(places, [count for _, count in failures], color=Ink.BAD, height=0.66)
        reached = 0
        for place, (_, count) in enumerate(failures):
            reached += count
            annotate(axes, place, count, f"{compact(count)} ({'Σ ' * (place > 0)}{percent(reached, total)})")
        axes.set_yticks(places, names, color=Ink.TEXT)
        axes.set_xlim(0, failures[0][1] * room(names))
        only_names(axes)

    text = "Horizontal bars, the most frequent first: " + "; ".join(f"{name} {count:,}" for name, count in failures) + "."
    return plot("errors", "Why visits failed", text, draw, BAR * len(failures) + 16)


def survival(found: Lifetimes) -> Markup:
    """Kaplan and Meier's curve with its interval."""
    points = found.curve.points
    size, name = unit(points[-1].time)
    times = [0.0, *[point.time / size for point in points]]

    def draw(axes: Axes) -> None:
        lows, highs = [1.0, *[point.low for point in points]], [1.0, *[point.high for point in points]]
        axes.fill_between(times, lows, highs, step="post", color=Ink.MAIN, alpha=0.25, linewidth=0)
        axes.step(times, [1.0, *[point.survival for point in points]], where="post", color=Ink.MAIN)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(formatted(lambda value: f"{100 * value:.0f} %"))
        axes.set_xlabel(f"{name} since a session began")
        axes.set_ylabel("sessions still open")
        axes.grid(visible=True)

    last, median = points[-1], found.curve.median
    middle = f"half of them last longer than {span(median)}" if median is not None else "fewer than half of them have ended"
    text = f"Falling steps: of {found.curve.observed:,} sessions {middle}; after {span(last.time)} {last.survival:.0%} are still open."
    return plot("survival", "How long sessions last", text, draw)


def overlap(found: Overlap) -> Markup:
    """How many nodes were seen by one vantage, by two, and so on."""
    shares = [Share(name=f"{count} of {len(found.vantages)} vantages", nodes=nodes) for count, nodes in enumerate(found.seen_by, 1)]
    return bars("overlap", "Nodes by the number of vantages that saw them alive", shares, sum(found.seen_by))
