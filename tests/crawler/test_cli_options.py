"""The options of commands that crawl: where they come from, which goes before which, and what is said about those that are wrong."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from devp2p_crawler.cli import layers, main
from devp2p_crawler.cli.options import OPTIONS, Choices, add_options, choose, read_opt_out

from devp2p import PRESETS, Address, NodeRecord, PrivateKey
from devp2p.terminal import Failure

KEY = PrivateKey.from_bytes(bytes([1]) * 32)  # the same for all processes of a run: enodes are parameters of tests
ENODE = f"enode://{bytes(KEY.public_key).hex()}@127.0.0.1:30303"
OTHER = f"enode://{bytes(PrivateKey.from_bytes(bytes([2]) * 32).public_key).hex()}@127.0.0.2:30304"
TREE = PRESETS["mainnet"].dns_tree


def chosen(*argv: str, environment: Mapping[str, str] | None = None, before: Mapping[str, layers.Given] | None = None) -> Choices:
    parser = argparse.ArgumentParser(prog="x", allow_abbrev=False)
    add_options(parser)
    return choose(parser.parse_args(argv), lambda _: before or {}, environment or {})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    key = tmp_path / "node.key"
    key.touch(0o600)
    key.write_text(bytes(KEY).hex())
    return tmp_path


def refused(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    with pytest.raises(Failure) as caught:
        chosen("--db", "x.db", *argv, environment=environment)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_what_is_chosen_when_nothing_is_said():
    found = chosen("--db", "x.db")
    assert (found.versions, found.dial, found.inbound, found.duration) == ((4, 5), True, False, None)
    assert (found.vantage, found.contact, str(found.listen)) == ("local", "", "udp://*:0")
    assert not any((found.bootnode, found.input, found.dns))
    assert json.loads(found.told) == {}


def test_every_flag_is_heeded(folder: Path):
    (folder / "nodes.json").write_text("{}")
    (folder / "no.txt").write_text("192.0.2.0/24\n")
    found = chosen(
        *("--db", "x.db", "--bootnode", ENODE, OTHER, "--bootnode", ENODE, "--network", "sepolia", "--input", "nodes.json", "--dns", TREE),
        *("--v4", "--no-dial", "--for", "1.5", "--vantage", "fra-1", "--contact", "https://example.org/x", "--opt-out", "no.txt"),
        *("--key", "node.key", "--listen", "127.0.0.1:0", "--inbound", "--net-restrict", "127.0.0.0/8", "10.0.0.0/8", "--one-machine"),
        *("--dry-run", "--metrics", "9100", "--metrics-name", "me.example", "--json"),
        *("--log-level", "error"),
    )
    assert found.bootnode == tuple(map(NodeRecord.parse, (ENODE, OTHER, ENODE)))
    assert (found.network, found.input, found.dns, found.versions) == ("sepolia", ("nodes.json",), (TREE,), (4,))
    assert (found.dial, found.duration, found.vantage, found.contact) == (False, 1.5, "fra-1", "https://example.org/x")
    assert (found.opt_out, found.inbound, str(found.listen)) == ("no.txt", True, "udp://127.0.0.1:0")
    assert found.key is not None
    assert bytes(found.key) == bytes(KEY)
    assert found.net_restrict is not None
    assert found.net_restrict.covers(bytes([10, 1, 1, 1]))
    assert found.one_machine
    assert (found.dry_run, found.json, found.plain, found.log_level) == (True, True, False, "error")
    assert (found.metrics, found.metrics_name) == (Address("tcp", "127.0.0.1", 9100), ("me.example",))
    told = json.loads(found.told)
    assert told["bootnode"] == [ENODE, OTHER, ENODE]
    assert told["opt-out"] == [str(folder / "no.txt")]
    assert "secret" not in found.told
    assert not {"db", "sink", "json", "metrics", "dry-run"} & told.keys()


# What is wrong


WRONG: list[tuple[list[str], str]] = [
    (["--db", "y.db"], "--db is given 2 times, and is one thing: give it once"),
    (["--sink", "mysql://a:secret@h/x"], "--sink: nothing here writes to mysql://a@h/x: write clickhouse://... or "),
    (["--frontier", "crawl.db"], "--frontier: nothing here shares a frontier by that: write postgres://... or postgresql://..."),
    (["--bootnode", "enode://abc"], "--bootnode: "),
    (["--bootnode", ENODE.partition("@")[0]], "--bootnode: it names a node but no UDP port to ask it at: add @<host>:<port>"),
    (["--network", "maynet"], "--network: there is no network 'maynet': did you mean mainnet?"),
    (["--network", "x"], "--network: there is no network 'x': there are "),
    (["--input", "gone.json"], "--input: there is no file 'gone.json': name one that is there"),
    (["--dns", "ethdisco.net"], f"--dns: a node list in DNS is wanted, such as {TREE}, not 'ethdisco.net'"),
    (["--for", "ten"], "--for: a number of seconds above 0 is wanted, not 'ten'"),
    (["--for", "0"], "--for: a number of seconds above 0 is wanted, not '0'"),
    (["--for", "inf"], "--for: a number of seconds above 0 is wanted, not 'inf'"),
    (["--v4", "--v5"], "--v4 and --v5 exclude each other: give one of them"),
    (["--json", "--plain"], "--json and --plain exclude each other: give one of them"),
    (["--dial", "--no-dial"], "--no-dial and --dial exclude each other: give one of them"),
    (["--vantage", "a b"], "--vantage: a short name of letters, digits, '.', '_' and '-' is wanted, such as frankfurt-1, not 'a b'"),
    (
        ["--contact", "me"],
        "--contact: a URL or an address of mail of at most 100 characters is wanted, such as https://example.org/crawler",
    ),
    (["--opt-out", "gone.txt"], "--opt-out: there is no file 'gone.txt': name one that is there"),
    (["--key", "gone.key"], "--key: there is no key file gone.key; make one: devp2p key generate gone.key"),
    (["--listen", "nowhere"], "--listen: "),
    (["--net-restrict", "10.0.0.1/8"], "--net-restrict: 10.0.0.1/8 is an address in a network: write 10.0.0.0/8 for the network, or"),
    (
        ["--net-restrict", "all"],
        "--net-restrict: a network such as 192.0.2.0/24 or 2001:db8::/32, or one address, is wanted",
    ),
    (["--metrics", "here"], "--metrics: "),
    (["--metrics", "9100", "--metrics-name", "http://x"], "--metrics-name: a host name alone is wanted, such as node.example"),
    (["--metrics-name", "x"], "--metrics-name is for --metrics, which is not given: add --metrics 9100"),
    (["--log-level", "loud"], "--log-level: one of debug, info, warning, error is wanted, not 'loud'"),
    (["--config", "gone.toml"], "--config: cannot read gone.toml: no such file or directory; name a file of options in TOML"),
]


@pytest.mark.parametrize(
    ("argv", "told"),
    WRONG,
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_flag_that_is_wrong_is_named_with_what_to_write(argv: list[str], told: str):
    text = refused(*argv)
    assert text.startswith(told)
    assert "secret" not in text


def test_each_flag_that_can_be_wrong_has_a_case():
    cases = {name for argv, _ in WRONG for name in argv}
    never_wrong = {"inbound", "dry-run", "one-machine"}  # switches that go with everything
    assert {option.name for option in OPTIONS} - never_wrong == {name.removeprefix("--") for name in cases if name.startswith("--")}


@pytest.mark.parametrize(
    ("db", "told"),
    [
        ("", "--db: the name of a file is wanted, such as crawl.db, not nothing"),
        (".", "--db: the name of a file is wanted, such as crawl.db, not the folder ."),
        ("no/such/x.db", "--db: there is no folder no/such: make it, or name a file elsewhere"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(db: str, told: str):
    with pytest.raises(Failure) as caught:
        chosen("--db", db)
    assert str(caught.value) == told


def test_without_a_file_it_is_said_how_to_name_one():
    with pytest.raises(Failure, match=r"where should it be written\? Name a file: --db crawl.db"):
        chosen()


# Environment and files


def test_flags_go_before_the_environment_and_that_before_a_file_and_that_before_what_was_told_before(folder: Path):
    (folder / "x.toml").write_text(f'vantage = "file"\nfor = 60\nbootnode = ["{ENODE}"]\ncontact = "a@b.c"\n')
    environment = {"DEVP2P_CRAWL_CONFIG": "x.toml", "DEVP2P_CRAWL_FOR": "30", "DEVP2P_CRAWL_VANTAGE": "environment", "PATH": "x"}
    before = {name: layers.Given((text,), "before") for name, text in (("contact", "d@e.f"), ("network", "hoodi"))}
    found = chosen("--db", "x.db", "--vantage", "flag", environment=environment, before=before)
    assert (found.vantage, found.duration, found.contact, found.network) == ("flag", 30.0, "a@b.c", "hoodi")
    assert found.bootnode == (NodeRecord.parse(ENODE),)


def test_what_is_chosen_nearer_by_puts_out_its_rivals(folder: Path):
    (folder / "x.toml").write_text("v4 = true\nno-dial = true\njson = false\n")
    assert chosen("--db", "x.db", "--config", "x.toml").versions == (4,)
    found = chosen("--db", "x.db", "--config", "x.toml", "--v5", "--dial", "--json")
    assert (found.versions, found.dial, found.json) == ((5,), True, True)
    assert chosen("--db", "x.db", "--config", "x.toml", environment={"DEVP2P_CRAWL_V5": "yes"}).versions == (5,)
    assert chosen("--db", "x.db", "--config", "x.toml", environment={"DEVP2P_CRAWL_V5": "0"}).versions == (4,)


def test_paths_in_a_file_are_relative_to_it(folder: Path):
    (folder / "sub").mkdir()
    (folder / "sub/x.toml").write_text('opt-out = "no.txt"\ndb = "x.db"\n')
    (folder / "sub/no.txt").write_text("")
    found = chosen("--config", "sub/x.toml")
    assert (found.opt_out, found.db) == ("sub/no.txt", "sub/x.db")


def test_several_values_in_the_environment_are_separated_by_commas():
    found = chosen("--db", "x.db", environment={"DEVP2P_CRAWL_BOOTNODE": f"{ENODE}, {OTHER}"})
    assert found.bootnode == (NodeRecord.parse(ENODE), NodeRecord.parse(OTHER))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"DEVP2P_CRAWL_VANTGE": "x"}, "there is no option DEVP2P_CRAWL_VANTGE for the environment: did you mean DEVP2P_CRAWL_VANTAGE?"),
        ({"DEVP2P_CRAWL_FOR": "x"}, "DEVP2P_CRAWL_FOR: a number of seconds above 0 is wanted, not 'x'"),
        ({"DEVP2P_CRAWL_JSON": "x"}, "DEVP2P_CRAWL_JSON: 1 or 0 is wanted, not 'x'"),
        ({"DEVP2P_CRAWL_V4": "1", "DEVP2P_CRAWL_V5": "1"}, "DEVP2P_CRAWL_V4 and DEVP2P_CRAWL_V5 exclude each other: give one of them"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(environment: dict[str, str], told: str):
    assert refused(environment=environment) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("net_restrict = []", "x.toml: there is no option 'net_restrict' for a file: did you mean net-restrict?"),
        ("boot-nodes = []", "x.toml: there is no option 'boot-nodes' for a file: did you mean bootnode?"),
        ('config = "y.toml"', "x.toml: there is no option 'config' for a file: "),
        ("for = true", 'x.toml: for: text or a number is wanted, such as "one", not True'),
        ("for = [1, 2]", "x.toml: for: one value is wanted, not a list"),
        ('for = "x"', "x.toml: for: a number of seconds above 0 is wanted, not 'x'"),
        ("json = 1", "x.toml: json: true or false is wanted, not 1"),
        ("[politeness]\nx = 1", "x.toml: there is no option 'politeness' for a file: "),
        ("bootnode = [{}]", 'x.toml: bootnode: text or a number is wanted, such as ["one", "another"], not {}'),
        ("for = ", "x.toml is not TOML: "),
        ("v4 = true\nv5 = true", "x.toml: v4 and x.toml: v5 exclude each other: give one of them"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(text: str, told: str, folder: Path):
    (folder / "x.toml").write_text(text)
    assert refused("--config", "x.toml").startswith(told)


def test_what_is_no_text_is_no_file_of_options(folder: Path):
    (folder / "x.toml").write_bytes(b"\xff\xfe")
    assert refused("--config", "x.toml").startswith("x.toml is not TOML: ")
    (folder / "x.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    assert "is larger than 1 MiB" in refused("--config", "x.toml")


# What is told to a crawl that is resumed


def test_what_was_told_can_be_told_again(folder: Path):
    (folder / "no.txt").write_text("")
    first = chosen("--db", "x.db", "--bootnode", ENODE, "--v4", "--opt-out", "no.txt", "--for", "5")
    before = layers.from_told(OPTIONS, first.told, "the crawl in x.db")
    again = chosen("--db", "x.db", "--for", "9", before=before)
    assert (again.bootnode, again.versions, again.duration) == (first.bootnode, (4,), 9.0)
    assert again.opt_out == str(folder / "no.txt")


@pytest.mark.parametrize("told", ["", "[]", '{"unknown": ["x"], "db": ["y"], "for": 3}'])
def test_what_is_not_understood_of_it_is_left_out(told: str):
    assert layers.from_told(OPTIONS, told, "x") == {}


# Opt-out lists


def test_an_opt_out_list_takes_nodes_in_each_form_and_networks(folder: Path):
    keys = [PrivateKey.generate() for _ in range(3)]
    text = f"""# who wrote to us
{keys[0].public_key.node_id.hex()}
0x{bytes(keys[1].public_key).hex()}   # by mail
enode://{bytes(keys[2].public_key).hex()}@192.0.2.1:30303

198.51.100.0/24
2001:db8::1
"""
    (folder / "no.txt").write_text(text)
    found = read_opt_out("no.txt")
    assert found.nodes == {bytes(key.public_key.node_id) for key in keys}
    assert found.covers(bytes(32), bytes([198, 51, 100, 9]))
    assert not found.covers(bytes(32), bytes([192, 0, 2, 1]))
    assert len(found) == 5


@pytest.mark.parametrize("line", ["nobody", "enode://12", "10.0.0.1/8", "f" * 63, "enr:-abc"])
def test_a_line_that_is_wrong_is_named(line: str, folder: Path):
    (folder / "no.txt").write_text(f"# list\n{line}\n")
    text = refused("--opt-out", "no.txt")
    assert text.startswith("--opt-out: no.txt:2: ")
    assert text.endswith("; a node is its ID or public key in hex, an enode or an ENR")


# Help


def test_help_names_every_option_and_what_it_is():
    parser = argparse.ArgumentParser(prog="devp2p-crawl crawl")
    add_options(parser)
    text = parser.format_help()
    assert text.startswith("usage: devp2p-crawl crawl --db FILE [OPTION...]\n")
    for option in OPTIONS:
        assert f"--{option.name}" in text
        assert option.help


def test_urls_with_passwords_are_neither_kept_nor_shown(capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://crawler:secret-word@db.example/crawls"
    flags = ["--db", "x.db", "--sink", url, "--frontier", url, "--bootnode", ENODE, "--dry-run"]
    choices = chosen(*flags)
    assert choices.sink == (url,)
    assert "secret-word" not in choices.told + repr(choices)
    assert main(["crawl", *flags]) == 0
    out = capsys.readouterr()
    assert "postgresql://crawler@db.example/crawls" in out.out
    assert "secret-word" not in out.out + out.err
    assert "secret-word" not in refused("--sink", "mysql://a:secret-word@h/x")
    assert "secret-word" not in refused("--frontier", "postgresql://a:secret-word@[::1")
