"""A summary of a run as text."""

from typing import Any, cast

from tools.crawler.simulated.ledger import Figures


def told(summary: Figures) -> str:
    """What a person reads at the end of a run."""
    figures = cast("dict[str, Any]", summary)
    lines = [
        "Asked were {asked:,} of {nodes:,} nodes in {seconds:.1f} s, by {packets_received:,} packets: {packets_per_node} a node".format(
            **figures
        ),
        "{packets_elsewhere:,} packets went where nobody is, {packets_at_victims:,} of them to victims of lies".format(**figures),
        "",
        f"{'question':<18}{'nodes':>8}{'in all':>10}{'mean':>8}{'median':>8}{'p99':>8}{'most':>8}",
    ]
    for kind, one in {"any packet": figures["packets"], **figures["questions"], "connection": figures["connections_per_node"]}.items():
        if one["count"]:
            lines.append(
                f"{kind:<18}{one['count']:>8,}{one['sum']:>10,}{one['mean']:>8}{one['median']:>8,}{one['p99']:>8,}{one['max']:>8,}"
            )
    lines += ["", "Most asked"]
    lines += [f"  {one['packets']:>6,} packets  {one['kind']:<13} {one['at']:<22} {one['node'][:16]}" for one in figures["most_asked"]]
    lines += ["", f"{'reached':<10}" + "".join(f"{mark + ' %':>10}" for mark in figures["seconds_to"]["all"]) + f"{'in the end':>12}"]
    for version, times in figures["seconds_to"].items():
        if figures["recall"][version]:
            shown = "".join(f"{'-' if one is None else f'{one:.1f} s':>10}" for one in times.values())
            lines.append(f"{version:<10}{shown}{figures['recall'][version]:>12.2%}")
    counts = figures["impolite"]
    impolite = ", ".join(f"{rule} {count:,}" for rule, count in counts.items())
    lines += ["", f"Impolite: {impolite}" if counts else "The crawler was polite."]
    lines += [f"  {finding}" for finding in figures["findings"][:5]]
    busy, late = figures["busy"], figures["late_ms"]
    lines.append(
        f"The simulator used {busy['mean']:.0%} of its core, {busy['most']:.0%} at most; its answers were {late['p95']} ms late"
        f" (95 %), {late['max']} ms at most; {figures['lost']} datagrams were lost at its door"
    )
    if figures["void"]:
        lines.append(figures["void"])
    return "\n".join(lines)
