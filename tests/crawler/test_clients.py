"""Names of clients, taken apart: a corpus of all forms that are known, and what strangers may call themselves."""

import pytest
from devp2p_crawler.analysis import Client, parse_client
from hypothesis import example, given
from hypothesis import strategies as st

from tests.crawler.client_names import NAMES, PUBLISHED

_WORD = st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=4, max_size=12)


def test_the_corpus_is_taken_apart_to_the_last_name():
    assert len(NAMES) >= 500
    wrong = {name: (found, wanted) for name, wanted in NAMES.items() if (found := parse_client(name)) != wanted}
    assert not wrong, f"{len(wrong)} names, such as {next(iter(wrong.items()))}"


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_names(name: str):
    assert parse_client(name) == PUBLISHED[name]


def test_versions_can_be_compared():
    found = parse_client("Geth/v1.10.26-stable-e5eb32ac/linux-amd64/go1.18.5")
    assert found is not None
    assert (1, 9, 99) < found.numbers < (1, 11)
    assert Client(name="geth").numbers == ()


@given(
    st.one_of(st.text(max_size=600), st.lists(st.sampled_from(["Geth", "v1.2.3", "linux-amd64", "go1.2", "", " ", "x/y"])).map("/".join))
)
@example("Geth/" * 200)
@example("9" * 300 + "/v" + "9." * 100)
def test_no_name_does_harm(text: str):
    found = parse_client(text)
    if found is not None:
        assert 0 < len(found.name) <= 40
        assert found.name.isascii()
        assert found.name.isprintable()
        for part in (found.version, found.build, found.label, found.runtime):
            assert part is None or 0 < len(part) <= 512
        assert len(found.numbers) <= 4


@given(_WORD, st.lists(st.integers(0, 10**6), min_size=2, max_size=4), st.sampled_from([None, "a label", "v2", "node-7"]))
def test_names_in_the_form_of_go_ethereum_of_any_client(name: str, numbers: list[int], label: str | None):
    version = ".".join(map(str, numbers))
    found = parse_client(f"{name}/{f'{label}/' if label else ''}v{version}-stable-0123abcd/linux-arm64/go1.22.1")
    assert found is not None
    assert found.label == label
    assert (found.numbers, found.build) == (tuple(numbers), "stable-0123abcd")
    assert (found.system, found.architecture, found.language, found.runtime) == ("linux", "arm64", "Go", "1.22.1")
