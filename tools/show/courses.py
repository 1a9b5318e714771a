"""What became of observers that choose their peers in several ways: tables and pictures (pure but for printing)."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.show.board import Sample
from tools.show.meters import mean
from tools.show.plan import Choice, Nature
from tools.svg import BAD, GOOD, GRID, INK, curve, document, drawing, line, text


@dataclass(frozen=True, slots=True)
class Course:
    """One run."""

    choice: Choice
    seed: int
    samples: tuple[Sample, ...]
    by_chance: float
    """The share that as many peers taken at random would have, on average."""

    @property
    def share(self) -> float:
        """The mean of the last 30 samples."""
        return mean([sample.share for sample in self.samples[-30:]])

    @property
    def hostile(self) -> int:
        """Places that hostile nodes have in the end."""
        return self.samples[-1].places[Nature.HOSTILE]


def parse(program: str, description: str, plot: Path, arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line of what makes such tables and pictures; wrong ones end the program with status 2."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--out", type=drawing, default=plot, metavar="FILE", help=f"where the plot goes (default: docs/{plot.name})")
    return parser.parse_args(arguments)


def tell(rows: Iterable[Sequence[Course]]) -> list[Course]:
    """Print a line of a table for each seed, whose runs come in the order of `Choice`; returns all runs."""
    print("| seed | by chance | " + " | ".join(f"{choice} | hostile" for choice in Choice) + " |")
    print("|---|--:|" + "--:|--:|" * len(Choice))
    courses: list[Course] = []
    for row in rows:
        cells = [f"{course.share:.1%} | {course.hostile}" for course in row]
        print(f"| {row[0].seed} | {row[0].by_chance:.1%} | {' | '.join(cells)} |", flush=True)
        courses += row
    return courses


_COLOURS = {Choice.SLOTS: GOOD, Choice.ONE_SCORE: "#4a6fa5", Choice.RANDOM: BAD}
_LEFT, _WIDTH, _RIGHT, _TOP, _HEIGHT = 64, 640, 150, 52, 280
_FEWEST = 0.3  # the share at the lower edge


def _x(seconds: float, length: float) -> float:
    return round(_LEFT + _WIDTH * seconds / length, 1)


def _y(share: float) -> float:
    return _TOP + _HEIGHT * (1 - share) / (1 - _FEWEST)


def chart(courses: Sequence[Course], subtitle: str, second: float, unit: str) -> str:
    """A thin curve for each run, a thick one for the mean of each way to choose. `second`: how many make one of the time axis's units."""
    length = min(len(course.samples) for course in courses)
    seconds = courses[0].samples[length - 1].seconds
    parts = [text(_LEFT, 22, "True service of the observers' peers, over the best that as many places could give")]
    parts += [text(_LEFT, 40, subtitle)]
    for tick in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        parts += [line(_LEFT, _LEFT + _WIDTH, _y(tick), _y(tick), GRID), text(_LEFT - 8, _y(tick) + 4, f"{tick:.0%}", "end")]
    step = max(1, round(seconds / second / 6))
    for tick in range(0, int(seconds / second) + 1, step):
        parts += [text(_x(tick * second, seconds), _TOP + _HEIGHT + 20, f"{tick} {unit}", "middle")]
    chance = mean([course.by_chance for course in courses])
    labels = [(chance, f"by chance {chance:.0%}", INK)]
    parts += [line(_LEFT, _LEFT + _WIDTH, _y(chance), _y(chance), INK)]
    for choice, colour in _COLOURS.items():
        some = [course.samples[:length] for course in courses if course.choice is choice]
        parts += [curve([(_x(one.seconds, seconds), _y(one.share)) for one in samples], colour, opacity=0.3) for samples in some]
        means = [(_x(ones[0].seconds, seconds), mean([one.share for one in ones])) for ones in zip(*some, strict=True)]
        parts += [curve([(x, _y(share)) for x, share in means], colour, 3)]
        labels += [(means[-1][1], f"{choice} {means[-1][1]:.0%}", colour)]
    return document(_LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + 36, [*parts, *_labels(labels)])


def _labels(labels: Iterable[tuple[float, str, str]]) -> Iterable[str]:
    """Beside the ends of the curves, one below the other."""
    above = 0.0
    for share, label, colour in sorted(labels, reverse=True):
        above = max(_y(share) + 4, above + 16)
        yield text(_LEFT + _WIDTH + 8, round(above, 1), label, colour=colour)
