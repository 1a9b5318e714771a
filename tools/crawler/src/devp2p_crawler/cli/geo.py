"""The option that says where addresses are, which several commands share."""

import argparse
from pathlib import Path


def add_geo(parser: argparse.ArgumentParser) -> None:
    """Add ``--geo FILE``, repeatable: `options.geo` is a list of paths."""
    parser.add_argument(
        "--geo",
        metavar="FILE",
        action="append",
        type=Path,
        default=[],
        help="a file of countries or autonomous systems in MaxMind's format (.mmdb), such as GeoLite2-ASN.mmdb; repeatable",
    )
