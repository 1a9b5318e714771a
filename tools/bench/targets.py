"""What the figures have to show. A run that misses one says so and ends well all the same: machines differ."""

from dataclasses import dataclass
from typing import Literal

from tools.bench.figures import Row


@dataclass(frozen=True)
class Target:
    """Bounds of a row's ``ratio`` or of our own figure; None: no bound on that side."""

    figure: Literal["ratio", "ours"]
    least: float | None = None
    most: float | None = None

    def verdict(self, row: Row) -> bool | None:
        """Whether a row meets it; None where there is nothing to judge by."""
        value = row.ratio if self.figure == "ratio" else row.ours
        if value is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            bounds = f"{self.least:g} to {self.most:g}"
        else:
            bounds = f">= {self.least:.3g}" if self.least is not None else f"<= {self.most:.3g}"
        return f"{bounds} x" if self.figure == "ratio" else bounds


def _least_ratio(*names: str, ratio: float) -> dict[str, Target]:
    return dict.fromkeys(names, Target("ratio", least=ratio))


def _most(*names: str, value: float) -> dict[str, Target]:
    return dict.fromkeys(names, Target("ours", most=value))


_LIBP2P_FIGURES = ("throughput/16KiB", "throughput/1MiB", "there_and_back/32B", "handshake", "idle_memory")

# "At most 1.2 times its time" is a ratio of at least 1 / 1.2.
TARGETS: dict[str, Target] = {
    **_least_ratio("rlpx/throughput/16KiB", "rlpx/throughput/256KiB", "rlpx/throughput/1MiB", ratio=1.0),
    **_least_ratio("rlpx/message/32B", ratio=1 / 2),
    **_least_ratio("rlpx/message/1KiB", "rlpx/handshake", ratio=1 / 1.2),
    **_least_ratio("dpx1/throughput/16KiB", ratio=3.0),
    **_least_ratio("dpx1/throughput/256KiB", ratio=2.5),
    **_least_ratio("dpx1/throughput/1MiB", ratio=2.0),
    **_least_ratio("dpx1/message/32B", ratio=1.0),
    **_least_ratio("dpx1/message/1KiB", ratio=1 / 0.7),
    **dict.fromkeys((f"dpx1/throughput/{size}/share_of_floor" for size in ("16KiB", "256KiB", "1MiB")), Target("ours", least=50)),
    **_least_ratio("dpx1/api/throughput/16KiB", ratio=1.5),
    **_least_ratio("dpx1/api/message/32B", ratio=1 / 1.6),
    **_most("dpx1/qos/urgent_p99_beside_10MiB", value=5.0),
    **_most("dpx1/qos/one_way_p99_at_1MBps", value=90.0),
    "dpx1/qos/sibling_of_unread": Target("ours", least=95),
    **_least_ratio("api/throughput/16KiB", "api/throughput/256KiB", "api/throughput/1MiB", ratio=0.9),
    **_least_ratio("api/message/32B", ratio=1 / 4),
    **dict.fromkeys(("qos/share_of_flood", "qos/share_of_small", "qos/share_of_medium"), Target("ours", 0.8, 1.25)),
    **_least_ratio("eth/bodies/fetched", "eth/bodies/served", ratio=1.0),
    **_least_ratio("discv4/encode", "discv4/decode", ratio=1 / 1.3),
    **_least_ratio("discv5/handshake", ratio=1.0),
    **_least_ratio("discv5/decode", ratio=1 / 4),
    "discv4/pairs": Target("ours", least=1500),
    "discv5/pairs": Target("ours", least=5000),
    **_most("slots/decision_p50", "slots/decision_p99", "slots/dial_p50", "slots/ranking_step_p50", "slots/save_step_p50", value=5.0),
    "flood/searches_that_succeed": Target("ours", least=99),
    **_most("flood/search_p99", value=500.0),
    **_most("flood/loop_lag_p99", value=50.0),
    **_most("flood/memory_growth", value=10.0),
    **_most("flood/one_asker_v4", "flood/one_asker_v5", value=5.0),
    "knocks/silent_honest": Target("ours", least=90),
    "knocks/second_honest": Target("ours", least=100),
    **_most("knocks/second_honest_p95", value=50.0),
    **_most("idle/memory_a_session", value=60.0),
    **_most("idle/cpu_of_1000_sessions", value=5.0),
    **_most("loop/step_p99.9_sending_10MiB", "loop/step_p99.9_receiving_10MiB", value=5.0),
    **_most("import/beyond_trio", value=60.0),
    **_most("oracle/mac_byte", value=4.5),
    **_least_ratio(*(f"crawl/v{version}/time_to_{mark}" for version in (4, 5) for mark in (90, 95)), ratio=2.0),
    **_least_ratio("crawl/v4/packets_a_node", "crawl/v5/packets_a_node", ratio=1.0),
    **_least_ratio(*(f"transport/{own}/{row}/py-libp2p" for own in ("tcp", "tls", "quic") for row in _LIBP2P_FIGURES), ratio=1.0),
    "crawl/visits_by_rlpx": Target("ours", least=300),
    "crawl/rows_written": Target("ours", least=20_000),
}
