"""Node lists as files and in DNS: signed, published, read back, and nothing spoiled by what goes wrong."""

import json
import resource
import signal
import sys
from functools import partial

import pytest

from devp2p.cli import dns, main
from devp2p.discovery.dns.events import DnsLimits
from devp2p.discovery.dns.tree import make_tree
from devp2p.terminal.output import Exit
from tests.cli.processes import write_secret
from tests.discovery.nameserver import name_server
from tests.discovery.zones import DOMAIN, KEY, URL, record, records, tree, url

LINKS = [url("more.example.org"), url("Other.example.org")]


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "tree.key"
    return str(write_secret(path, bytes(KEY).hex()))


@pytest.fixture
def node_list(tmp_path):
    """A directory with a list of 30 nodes that links to two others, and was never signed."""
    path = tmp_path / "list.example.org"
    path.mkdir()
    nodes = {each.id.hex(): {"seq": each.sequence, "record": each.text, "score": 7} for each in records(30)}
    (path / "nodes.json").write_text(json.dumps(nodes))
    (path / "enrtree-info.json").write_text(json.dumps({"seq": 0, "links": [str(link) for link in LINKS]}))
    return path


def info(directory):
    return json.loads((directory / "enrtree-info.json").read_text())


def run(capsys, *argv):
    """Run the command; its status, and what it wrote."""
    status = main(["dns", *map(str, argv)])
    output = capsys.readouterr()
    return status, output.out, output.err


def test_a_list_is_signed_published_and_read_back(node_list, key_file, tmp_path, monkeypatch, capsys):
    status, shown, _ = run(capsys, "sign", node_list, "--key", key_file, "--domain", DOMAIN)
    assert status == Exit.OK
    assert dict(line.split() for line in shown.splitlines()) == {"url": str(URL), "records": "30", "links": "2", "sequence": "1"}
    status, shown, _ = run(capsys, "to-txt", node_list)
    texts = json.loads(shown)
    assert texts == make_tree(records(30), LINKS, 1, KEY).to_txt(DOMAIN)

    copy = tmp_path / "copy"
    with name_server({name: [text.encode()] for name, text in texts.items()}) as server:
        monkeypatch.setattr(dns, "DnsLimits", partial(DnsLimits, rate=1000.0))
        status, shown, errors = run(capsys, "sync", URL, copy, "--server", f"127.0.0.1:{server.port}")
    assert (status, errors) == (Exit.OK, "")
    assert info(copy) == info(node_list) | {"lastModified": info(copy)["lastModified"]}
    assert run(capsys, "to-txt", copy) == (Exit.OK, json.dumps(texts, indent=4) + "\n", "")
    status, shown, _ = run(capsys, "to-txt", copy, tmp_path / "texts.json")
    assert (status, shown, json.loads((tmp_path / "texts.json").read_text())) == (Exit.OK, "", texts)


def test_the_sequence_number_and_the_domain_go_on_from_before(node_list, key_file, capsys):
    for arguments, sequence, domain in (
        ([], 1, "list.example.org"),  # the directory's name
        (["--seq", "7", "--domain", DOMAIN], 7, DOMAIN),
        ([], 8, DOMAIN),
        (["--seq", "0"], 0, DOMAIN),
    ):
        assert run(capsys, "sign", node_list, "--key", key_file, *arguments)[0] == Exit.OK
        assert (info(node_list)["seq"], info(node_list)["url"]) == (sequence, str(url(domain)))
        assert info(node_list)["links"] == [str(link) for link in LINKS]
    assert sorted(path.name for path in node_list.iterdir()) == ["enrtree-info.json", "nodes.json"]


def test_a_directory_without_info_is_signed_too(node_list, key_file, capsys):
    (node_list / "enrtree-info.json").unlink()
    assert run(capsys, "sign", node_list, "--key", key_file)[0] == Exit.OK
    assert (info(node_list)["seq"], info(node_list)["links"]) == (1, [])


@pytest.mark.parametrize("form", ["json", "lines"])
def test_a_file_of_records_is_signed_to_stdout(form, node_list, key_file, tmp_path, capsys):
    path = node_list / "nodes.json"
    if form == "lines":
        path = tmp_path / "records.txt"
        path.write_text("\n".join([*(each.text for each in records(30)), "", ""]))
    status, shown, _ = run(capsys, "sign", path, "--key", key_file, "--domain", DOMAIN, "--seq", "5")
    assert (status, json.loads(shown)) == (Exit.OK, tree(30, 5).to_txt(DOMAIN))
    assert info(node_list)["seq"] == 0
    status, shown, errors = run(capsys, "sign", path, "--key", key_file, "--domain", DOMAIN)
    assert (status, shown) == (Exit.USAGE, "")
    assert "add --domain and --seq" in errors


def test_a_list_that_was_changed_is_not_published(node_list, key_file, capsys):
    status, _, errors = run(capsys, "to-txt", node_list)
    assert status == Exit.USAGE
    assert f"{node_list} is not signed; sign it: devp2p dns sign" in errors
    assert run(capsys, "sign", node_list, "--key", key_file)[0] == Exit.OK
    nodes = json.loads((node_list / "nodes.json").read_text())
    nodes.pop(record(3).id.hex())
    (node_list / "nodes.json").write_text(json.dumps(nodes))
    status, shown, errors = run(capsys, "to-txt", node_list)
    assert (status, shown) == (Exit.USAGE, "")
    assert "was changed after it was signed" in errors


def test_sync_prints_json(capsys):
    texts = tree(3, 4, LINKS).to_txt(DOMAIN)
    with name_server({name: [text.encode()] for name, text in texts.items()}) as server:
        status, shown, _ = run(capsys, "sync", URL, "--json", "--server", f"127.0.0.1:{server.port}")
    synced = json.loads(shown)
    assert status == Exit.OK
    assert sorted(synced.pop("records")) == sorted(each.text for each in records(3))
    assert f"sig={synced.pop('signature')}" in texts[DOMAIN]
    assert synced == {"status": "complete", "url": str(URL), "seq": 4, "links": [str(link) for link in LINKS], "problem": None}


def test_an_incomplete_list_is_told_and_not_written(tmp_path, capsys):
    texts = tree(3).to_txt(DOMAIN)
    lost = next(name for name, text in texts.items() if text == record(1).text)
    del texts[lost]
    with name_server({name: [text.encode()] for name, text in texts.items()}) as server:
        there = ["--server", f"127.0.0.1:{server.port}"]
        status, shown, errors = run(capsys, "sync", URL, tmp_path / "copy", *there)
        assert (status, shown) == (Exit.FAILED, "")
        assert f"nothing was written: {lost}: there is no such name" in errors
        assert not (tmp_path / "copy").exists()
        status, shown, _ = run(capsys, "sync", URL, "--json", *there)
    assert (status, json.loads(shown)["status"], len(json.loads(shown)["records"])) == (Exit.FAILED, "incomplete", 2)


def test_a_directory_is_not_overwritten_by_an_older_or_another_list(node_list, key_file, monkeypatch, capsys):
    run(capsys, "sign", node_list, "--key", key_file, "--domain", DOMAIN, "--seq", "7")
    before = info(node_list)
    with name_server({name: [text.encode()] for name, text in tree(3, 6).to_txt(DOMAIN).items()}) as server:
        there = ["--server", f"127.0.0.1:{server.port}"]
        status, _, errors = run(capsys, "sync", url("another.example.org"), node_list, *there)
        assert status == Exit.USAGE
        assert "has another list" in errors
        assert server.asked == []
        monkeypatch.setattr(dns, "DnsLimits", partial(DnsLimits, root_retry=0.0))  # it waits fifteen seconds otherwise
        status, _, errors = run(capsys, "sync", URL, node_list, *there)
    assert status == Exit.FAILED
    assert "sequence number 6, where 7 was there before" in errors
    assert info(node_list) == before


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("nodes.json", "{", "is not JSON"),
        ("nodes.json", '{"00": {}}', "node 00: there is no record"),
        ("nodes.json", '{"00": 7}', "node 00: there is no record"),
        ("nodes.json", json.dumps({"00": {"record": record(1).text}}), "another node-ID or sequence number"),
        ("nodes.json", json.dumps({record(1).id.hex(): {"record": record(1).text, "seq": 2}}), "another node-ID or sequence number"),
        ("nodes.json", "enr:AAAA", "line 1: "),
        ("nodes.json", b"\xff", "is not a text"),
        ("nodes.json", None, "there is no "),
        ("enrtree-info.json", "[]", "is not a JSON object"),
        ("enrtree-info.json", "{}", "is not of the right form"),
        ("enrtree-info.json", '{"seq": 1, "links": 7}', "is not of the right form"),
        ("enrtree-info.json", '{"seq": 1, "url": 7}', "is not of the right form"),
        ("enrtree-info.json", '{"seq": 1, "links": ["http://"]}', "the URL of a tree begins with enrtree://"),
        ("enrtree-info.json", '{"seq": -7}', "sequence number of a tree has 64 bits"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_named(name, content, problem, node_list, capsys):
    path = node_list / name
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    write_secret(node_list / "key", bytes(KEY).hex())
    status, shown, errors = run(capsys, "sign", node_list, "--key", node_list / "key")
    assert (status, shown) == (Exit.USAGE, "")
    assert problem in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (["sync", "https://example.org"], "begins with enrtree://"),
        (["sync", str(URL), "there", "--json"], "not allowed with argument"),
        (["sync", str(URL), "--server", "dns.example.org"], "IP address of a DNS server"),
        (["sync", str(URL), "--server", "127.0.0.1:x"], "no port"),
        (["sync", str(URL), "--server", "[::1]:0"], "no port"),
        (["sign", "list"], "--key"),
    ],
)
def test_wrong_arguments_are_told(argv, problem, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["dns", *argv])
    assert ended.value.code == Exit.USAGE
    assert problem in capsys.readouterr().err


def test_no_domain_is_made_up(node_list, key_file, capsys):
    status, _, errors = run(capsys, "sign", node_list, "--key", key_file, "--domain", "a b")
    assert status == Exit.USAGE
    assert "'a b' is not a domain" in errors


def test_without_dnspython_the_user_is_told_what_to_install(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "devp2p.discovery.dns.resolver", raising=False)
    monkeypatch.setitem(sys.modules, "dns.asyncresolver", None)
    status, _, errors = run(capsys, "sync", URL, "--json")
    assert (status, errors) == (Exit.USAGE, "devp2p: this needs the package dnspython: pip install 'trio-devp2p[dns]'\n")


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("::1", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_servers_are_written_in_every_usual_way(text, server):
    assert dns._server(text) == server


def test_a_full_disk_leaves_nothing_behind(node_list, key_file, capsys):
    assert run(capsys, "sign", node_list, "--key", key_file)[0] == Exit.OK
    before = sorted(node_list.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # it stands for the end of the disk
    try:
        status, _, errors = run(capsys, "to-txt", node_list, node_list / "records.json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert (status, errors) == (Exit.FAILED, f"devp2p: cannot write {node_list}/records.json: File too large\n")
    assert sorted(node_list.iterdir()) == before
