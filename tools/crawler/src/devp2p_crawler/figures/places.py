"""Where the nodes that answered are."""

import sqlite3
from collections import Counter
from typing import Final

from devp2p_crawler.figures.findings import Places, System
from devp2p_crawler.figures.said import shares
from devp2p_crawler.places import Places as PlaceFiles

_MOST_ROWS: Final = 100


def places(connection: sqlite3.Connection, files: PlaceFiles) -> Places:
    """Countries and autonomous systems of the addresses from which nodes answered last, by the user's files; PlacesError of those."""
    countries, systems, names = Counter[str](), Counter[int](), dict[int, str]()
    for ip, nodes in connection.execute("""
        SELECT ip, count(*) FROM (SELECT ok, max(ok_at) FROM standing WHERE ok IS NOT NULL GROUP BY node) JOIN visit ON visit.no = ok
        GROUP BY ip
    """):
        place = files.of(ip)
        countries[place.country or "unknown"] += nodes
        if place.asn is not None:
            systems[place.asn] += nodes
            names.setdefault(place.asn, place.organisation or "")
    ranked = sorted(systems.items(), key=lambda item: (-item[1], item[0]))
    return Places(
        countries=shares(countries, _MOST_ROWS),
        systems=tuple(System(asn=asn, organisation=names[asn], nodes=nodes) for asn, nodes in ranked[:_MOST_ROWS]),
        systems_in_all=len(systems),
    )
