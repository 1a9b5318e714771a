"""Where addresses are, by files in MaxMind's format; also files that are damaged, and filters that ask for places."""

import json
import random

import pytest
from devp2p_crawler.cli import main
from devp2p_crawler.places import Place, PlacesError, open_places

from tests.crawler.known_nodes import crawled, known
from tests.crawler.mmdb import database

COUNTRIES = {
    "8.0.0.0/24": {"country": {"iso_code": "DE", "names": {"en": "Germany"}}},
    "8.0.1.0/24": {"registered_country": {"iso_code": "fr"}},
    "8.0.2.0/24": {"country": "US", "asn": "AS64500", "as_name": "By IPinfo"},
    "8.0.3.0/24": {"country": {"iso_code": "Germany"}, "autonomous_system_number": "many"},
    "8.0.4.0/24": ["no", "map"],
    "2a01:7::/32": {"country": {"iso_code": "NL"}},
}
SYSTEMS = {"8.0.0.0/22": {"autonomous_system_number": 24940, "autonomous_system_organization": "=1+1 " + "x" * 250}}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "countries.mmdb").write_bytes(database(COUNTRIES))
    (tmp_path / "systems.mmdb").write_bytes(database(SYSTEMS, version=4))
    return [tmp_path / "countries.mmdb", tmp_path / "systems.mmdb"]


def test_files_add_to_each_other(files):
    with open_places(files) as places:
        name = ("=1+1 " + "x" * 250)[:200]
        assert places.of(bytes([8, 0, 0, 1])) == Place("DE", 24940, name)
        assert places.of(bytes([8, 0, 1, 1])) == Place("FR", 24940, name)
        assert places.of(b"\0" * 10 + b"\xff\xff" + bytes([8, 0, 1, 1])) == Place("FR", 24940, name)
        assert places.of(bytes([8, 0, 2, 1])) == Place("US", 64500, "By IPinfo")
        assert places.of(bytes([8, 0, 3, 1])) == Place(None, 24940, name)
        assert places.of(bytes([8, 0, 4, 1])) == places.of(bytes([9, 9, 9, 9])) == places.of(b"") == places.of(b"abc") == Place()
        assert places.of(bytes.fromhex("2a010007" + "00" * 12)) == Place("NL")
        node = places.with_place(known(1))
        assert (node.country, node.asn) == ("FR", 24940)


def test_what_is_no_such_file_is_refused(tmp_path):
    (tmp_path / "text").write_text("country,asn\n")
    for name, told in (("none", "there is no file"), ("text", "is no file of places"), (".", "is no file of places")):
        with pytest.raises(PlacesError, match=told), open_places([tmp_path / name]):
            pass


def test_a_damaged_file_is_told_of_and_breaks_nothing(tmp_path):
    whole = database(COUNTRIES)
    chance = random.Random(15)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path = tmp_path / "damaged.mmdb"
        path.write_bytes(damaged[: chance.randrange(len(damaged))] if chance.random() < 0.2 else damaged)
        try:
            with open_places([path]) as places:
                for number in range(6):
                    places.of(bytes([8, 0, number, 1]))
                places.of(bytes.fromhex("2a010007" + "00" * 12))
        except PlacesError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_filters_and_tables_know_places(files, tmp_path, capsysbinary):
    path = crawled(tmp_path / "crawl.db", [known(number) for number in (0, 1, 2, 4)])

    def run(*argv, status=0):
        assert main([*map(str, argv)]) == status
        return capsysbinary.readouterr()

    geo = ["--geo", files[0], "--geo", files[1]]
    assert len(json.loads(run("filter", path, *geo, "--country", "DE,US").out)) == 2
    assert len(json.loads(run("filter", path, *geo, "--asn", "AS24940").out)) == 2
    assert len(json.loads(run("filter", path, *geo, "--where", "asn = 64500 AND country = 'US'").out)) == 1
    assert b"add --geo FILE" in run("filter", path, "--country", "DE", status=2).err
    assert b"is no file of places" in run("filter", path, "--geo", path, status=2).err
    text = run("export", "--db", path, "--format", "csv", *geo, "-").out
    assert b",'=1+1 xxx" in text
    assert b"DE,24940," in text
    told = run("export", "--db", path, "--format", "zone", *geo, "--per-asn", "1", tmp_path / "zone").out.decode()
    assert "asn 1 (--no-asn)" in told
    assert "1 of unknown autonomous systems" in told
