"""go-ethereum's nodes.json: to the byte, strict, and bounded."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from devp2p_crawler.exports import InputError, NodeSetReader, node_set_lines, read_node_set
from devp2p_crawler.exports.node_set import MOST_OF_ONE
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crawler.known_nodes import DAY, START, key, known, random_nodes

NODE = known(3, first_ok=START, last_ok=START + DAY, last_visit=START + 2 * DAY + 250_000, score=7)


def text_of(nodes, **options):
    return "".join(node_set_lines(nodes, **options))


def read(text):
    return list(NodeSetReader(io.StringIO(text), "nodes.json"))


def test_the_file_is_written_as_go_ethereum_does():
    assert NODE.record is not None
    text = text_of([NODE], whole_seconds=True)
    assert text.startswith(f'{{\n    "{NODE.node.hex()}": {{\n        "seq": 1,\n        "record": "enr:-')
    assert text.endswith(
        '",\n        "score": 7,\n        "firstResponse": "2026-09-21T14:13:20Z",\n        "lastResponse": "2026-09-22T14:13:20Z",\n'
        '        "lastCheck": "2026-09-23T14:13:20Z"\n    }\n}'
    )
    assert text_of([]) == "{}"
    assert '"lastCheck": "2026-09-23T14:13:20.25Z"' in text_of([NODE])


def test_what_never_happened_is_in_the_year_one_and_no_score_is_left_out():
    text = text_of([replace(NODE, first_ok=None, last_ok=None, last_visit=None, score=0)])
    assert text.count('"0001-01-01T00:00:00Z"') == 3
    assert "score" not in text
    (back,) = read(text)
    assert (back.first_ok, back.last_ok, back.last_visit, back.score) == (None, None, None, 0)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(0, 4))
def test_what_is_written_is_read_and_written_again_alike(seed, count):
    nodes = random_nodes(seed, count)
    text = text_of(nodes)
    assert list(json.loads(text)) == [node.node.hex() for node in nodes]
    assert text_of(read(text)) == text


@pytest.mark.parametrize("where", ["@1.2.3.4:30303", "@1.2.3.4:30303?discport=30304", "@[2a01::1]:5", "@1.2.3.4:0?discport=9", ""])
def test_a_node_without_a_record_has_its_enode_url(where):
    public = key(5).public_key
    url = f"enode://{bytes(public).hex()}{where}"
    text = json.dumps({public.node_id.hex(): {"seq": 0, "record": url}})
    (node,) = read(text)
    assert node.record is None
    assert json.loads(text_of([node]))[public.node_id.hex()]["record"] == url


def test_a_file_is_read_as_it_comes_whatever_its_form(tmp_path: Path):
    nodes = random_nodes(9, 100)
    path = tmp_path / "nodes.json"
    path.write_text(json.dumps(json.loads(text_of(nodes)) | {}, indent=None, separators=(",", ":")), "utf-8")
    assert text_of(read_node_set(path)) == text_of(nodes)
    path.write_text(f"\n\t {text_of(nodes)}\r\n ", "utf-8")
    assert text_of(read_node_set(path)) == text_of(nodes)


def test_a_time_elsewhere_is_the_same_time():
    text = text_of([NODE]).replace('"2026-09-21T14:13:20Z"', '"2026-09-21T16:13:20.5+02:00"')
    assert read(text)[0].first_ok == START + 500_000


def changed(**fields):
    return json.dumps({NODE.node.hex(): {**json.loads(text_of([NODE]))[NODE.node.hex()], **fields}})


BAD = {
    "": "does not begin with {",
    "[]": "does not begin with {",
    "{": "is cut short",
    text_of([NODE])[:-2]: "'}' is wanted|',' is wanted",
    text_of([NODE])[:200]: "is cut short",
    text_of([NODE]) + "{}": "something stands behind the last node",
    '{"ab": {}}': "a node-ID of 64 hex digits is wanted",
    f'{{"{"ab" * 32}": 7}}': "an object is wanted, not 7",
    f'{{"{"ab" * 32}": {{}}}}': "its record is wanted",
    text_of([NODE]).replace(NODE.node.hex(), "ab" * 32): "this is the record of node",
    f"{text_of([NODE])[:-2]},{text_of([NODE])[1:]}": "is there twice",
    changed(seq=2): "seq is 2, and its record has 1",
    changed(score=-1): "score: a whole number",
    changed(score=2.5): "score: a whole number",
    changed(score=True): "score: a whole number",
    changed(seq="1"): "seq: a whole number",
    changed(lastCheck=5): "lastCheck: a time such as",
    changed(lastCheck="yesterday"): "lastCheck: a time such as",
    changed(lastCheck="2026-13-01T00:00:00Z"): "lastCheck: a time such as",
    changed(firstResponse="0001-01-01T00:00:00+14:00"): "firstResponse: a time such as",
    f'{{"{"[" * 100_000}': "is not JSON|is cut short",
    "{" + "[" * 100_000: "is not JSON",
    '{"' + "a" * 4 * MOST_OF_ONE * 5: "is not JSON|is cut short",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_such_file_is_refused_with_the_place(text):
    with pytest.raises(InputError, match=BAD[text]) as refused:
        read(text)
    assert str(refused.value).startswith("nodes.json")
    assert len(str(refused.value)) < 400


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot read .*: No such file"):
        list(read_node_set(tmp_path / "none.json"))
    (tmp_path / "binary.json").write_bytes(b"{\xff\xfe")
    with pytest.raises(InputError, match="is no text"):
        list(read_node_set(tmp_path / "binary.json"))


def test_a_record_that_breaks_the_rules_is_left_out_and_counted():
    text = f"{text_of([NODE])[:-2]},{text_of([known(4)])[1:]}".replace("enr:-", "enr:_", 1)
    reader = NodeSetReader(io.StringIO(text), "nodes.json")
    assert [node.node for node in reader] == [known(4).node]
    assert reader.left_out == 1
    assert NODE.node.hex() in reader.last_fault


@settings(max_examples=60)
@given(
    st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | st.just(text_of([NODE]).encode()),
    st.integers(0, 500),
    st.binary(max_size=3),
)
def test_nothing_but_an_input_error_comes_of_any_bytes(data, at, patch):
    data = data[:at] + patch + data[at + len(patch) :]
    try:
        list(NodeSetReader(io.TextIOWrapper(io.BytesIO(data), "utf-8"), "x"))
    except InputError as error:
        assert str(error).startswith("x")  # noqa: PT017
