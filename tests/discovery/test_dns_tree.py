"""Node lists as text and as trees: the specification's example to the letter, nothing accepted that has another form, and all sizes."""

import json
from pathlib import Path

import dns.message
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devp2p.discovery.dns.tree import Branch, Root, TreeUrl, entry_name, has_hash, hash_of, make_tree, parse_entry, restore_tree
from devp2p.errors import DecodingError, LocalProtocolError
from devp2p.keys import PrivateKey
from devp2p.records.enr import Record
from tests.discovery.zones import DOMAIN, KEY, record, records, tree, url
from tests.fuzz import dns_targets

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "dns_tree.json").read_text())
ZONE = {entry["name"]: entry["txt"] for entry in VECTORS["zone"]}
# The root of the example zone, and the key that signed it, whose public half is in the specification's section "URL Scheme".
ROOT = (
    "enrtree-root:v1 e=JWXYDBPXYWG6FX3GMDIBFA6CJ4 l=C7HRFPF3BLGF3YR4DY5KX3SMBE seq=1 "
    "sig=o908WmNp7LibOfPsr4btQwatZJ5URBr2ZAuxvK4UWHlsB9sUOTJQaGAlLPVAhM__XJesCHxLISo94z5Z2a463gA"
)
SIGNER = PrivateKey.from_bytes(bytes.fromhex("dc599867fc513f8f5e2c2c9c489cde5e71362d1d9ec6e693e0de063236ed1240"))
LINK = next(text for text in ZONE.values() if text.startswith("enrtree://"))


def test_the_specifications_example_is_read():
    root = Root.parse(ROOT)
    assert root.is_signed_by(SIGNER.public_key)
    assert bytes(SIGNER.public_key).hex().startswith("9f88229042fef9200246f49f94d9b77c4e954721442714e85850cb6d9e5daf2d")
    assert not root.is_signed_by(TreeUrl.parse(LINK).public_key)
    for name, text in ZONE.items():
        assert entry_name(hash_of(text), DOMAIN) == f"{name}.{DOMAIN}"
        assert parse_entry(text).text == text
    assert entry_name(root.links, "n") == f"{next(name for name, text in ZONE.items() if text == LINK)}.n"


def test_the_specifications_example_is_made_to_the_letter():
    entries = [parse_entry(text) for text in ZONE.values()]
    made = make_tree(
        [entry for entry in entries if isinstance(entry, Record)], [entry for entry in entries if isinstance(entry, TreeUrl)], 1, SIGNER
    )
    assert made.to_txt(DOMAIN) == {DOMAIN: ROOT} | {f"{name}.{DOMAIN}": text for name, text in ZONE.items()}
    assert made.url("n").text == "enrtree://AKPYQIUQIL7PSIACI32J7FGZW56E5FKHEFCCOFHILBIMW3M6LWXS2@n"


def test_a_root_is_read_and_written():
    root = Root.parse(VECTORS["root_valid"])
    assert (root.sequence, root.signature.hex()[:8], root.text) == (3, "dc5997b9", VECTORS["root_valid"])


HASH = "C7HRFPF3BLGF3YR4DY5KX3SMBE"
SIGNATURE = "A" * 87


@pytest.mark.parametrize(
    "text",
    [
        VECTORS["root_syntax_error"],
        "",
        ROOT + " ",
        ROOT + "\n",
        ROOT[:-1],
        ROOT.replace("v1", "v2"),
        ROOT.replace("seq=1", "seq=01"),
        ROOT.replace("seq=1", "seq=-1"),
        ROOT.replace("seq=1", "seq=+1"),
        ROOT.replace("seq=1", f"seq={2**64}"),
        ROOT.replace("seq=1", f"seq={'9' * 30}"),
        ROOT.replace("seq=1 ", "seq=\N{ARABIC-INDIC DIGIT ONE} "),
        ROOT.replace(HASH, HASH.lower()),
        ROOT.replace(HASH, HASH[:18]),  # 11 bytes
        ROOT.replace(HASH, HASH * 3),
        ROOT.replace("sig=o", "sig=="),
        ROOT.replace("sig=", "sig=AAAA"),
        ROOT.replace(" l=", "  l="),
    ],
)
def test_what_is_no_root_is_refused(text):
    with pytest.raises(DecodingError, match=r"root of a tree|hash of an entry"):
        Root.parse(text)


def test_a_roots_signature_holds_for_all_of_it():
    root = Root.parse(ROOT)
    for other in (ROOT.replace("seq=1", "seq=2"), ROOT.replace("e=J", "e=K"), ROOT.replace("l=C", "l=D")):
        assert not Root.parse(other).is_signed_by(SIGNER.public_key)
    assert not Root(root.records, root.links, root.sequence).is_signed_by(SIGNER.public_key)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (VECTORS["link_errors"][0], "without a public key"),
        (VECTORS["link_errors"][1], "public key"),
        (VECTORS["link_errors"][2], "public key"),
        ("enrtree-branch:1,2", "hash of an entry"),
        ("enrtree-branch:" + "A" * 53, "hash of an entry"),
        ("enrtree-branch:" + "A" * 19, "hash of an entry"),
        ("enrtree-branch:" + "A" * 18, "hash of an entry: 11 bytes, where 12 to 32 are wanted"),
        ("enrtree-branch:,", "hash of an entry"),
        (f"enrtree-branch:{HASH},", "hash of an entry"),
        (f"enrtree-branch:{HASH[:-1]}B", "bits set behind"),
        (f"enrtree-branch:{HASH}======", "base32"),
        (f"enrtree-branch:{','.join([HASH] * 20)}", "an entry of 554 characters"),
        ("enrtree-leaf:", "begins with enr:"),
        ("", "begins with enr:"),
        ("enr:AAAA", "list|string|bytes|record"),
        (f"{LINK.partition('@')[0]}@", "is not a domain"),
        (f"{LINK}.", "is not a domain"),
        (f"{LINK}/path", "is not a domain"),
        (f"{LINK}:53", "is not a domain"),
        (f"{LINK}\n", "is not a domain"),
        (f"{LINK}..org", "is not a domain"),
        (f"{LINK}.{'a' * 64}", "is not a domain"),
        (f"{LINK}.{'a.' * 90}org", "is not a domain"),
        (f"{LINK.partition('@')[0]}@n\N{LATIN SMALL LETTER O WITH DIAERESIS}des.org", "is not a domain"),
        (f"{LINK.partition('@')[0]}@{chr(0x1F600) * 60}", "is not a domain"),
        (LINK.replace("A", "a"), "base32"),
    ],
)
def test_what_is_no_entry_is_refused(text, fault):
    with pytest.raises(DecodingError, match=fault) as caught:
        parse_entry(text)
    assert len(str(caught.value)) < 250


def test_an_empty_branch_and_hashes_of_all_lengths_are_read():
    assert Branch.parse("enrtree-branch:") == Branch(())
    for size in range(12, 33):
        branch = Branch((bytes(size), b"\xff" * size))
        assert parse_entry(branch.text) == branch
    assert has_hash(LINK, hash_of(LINK)[:12])
    assert not has_hash(LINK + "x", hash_of(LINK)[:12])


def test_domains_differ_in_more_than_case():
    assert url("Nodes.Example.ORG").text.endswith("@Nodes.Example.ORG")  # its hash would be another otherwise
    assert url("Nodes.Example.ORG").identity == url(DOMAIN).identity
    assert url(DOMAIN, SIGNER).identity != url(DOMAIN).identity
    assert url("other.example.org").identity != url(DOMAIN).identity


@pytest.mark.parametrize("name", [name for name in vars(dns_targets) if name.startswith("fuzz_")])
def test_the_fuzz_targets_hold(name):
    good = st.sampled_from(
        [ROOT, ROOT.removeprefix("enrtree-root:v1 "), *ZONE.values(), *(text.partition(":")[2] for text in ZONE.values())]
    )
    spoiled = st.tuples(good, st.integers(0, 170), st.text(max_size=2)).map(
        lambda edit: edit[0][: edit[1]] + edit[2] + edit[0][edit[1] + 1 :]
    )

    @settings(max_examples=150)
    @given(st.binary(max_size=600) | (good | spoiled | st.text(max_size=600)).map(lambda text: text.encode("utf-8", "replace")))
    def run(data):
        getattr(dns_targets, name)(data)

    run()


@pytest.mark.parametrize("count", [0, 1, 2, 13, 14, 15, 26, 27, 169, 170, 400])
def test_trees_of_every_size_hang_together(count):
    made = tree(count, 5, [url("a.example.org"), url("b.example.org")])
    texts = made.to_txt(DOMAIN)
    found = []
    todo = [made.root.records]
    while todo:
        text = texts.pop(entry_name(todo.pop(), DOMAIN))
        entry = parse_entry(text)
        if isinstance(entry, Branch):
            assert len(entry.children) <= 13
            assert len(text) <= 370
            assert len(entry.children) > 1 or count == 0
            todo += entry.children[::-1]
        else:
            found.append(entry)
    assert found == sorted(records(count), key=lambda each: each.id)
    assert len(texts) == 4  # the root, the links and their branch


def test_branches_are_filled():
    """An empty half is one empty branch, a single leaf needs none, and thirteen need one."""
    assert [len(tree(count).entries) - count for count in (0, 1, 2, 13, 14, 26, 169, 170)] == [1, 1, 2, 2, 3, 4, 15, 16]


def test_a_tree_is_the_same_however_its_records_are_given():
    forward, backward = make_tree(records(30), [], 1, KEY), make_tree(records(30)[::-1] * 2, [], 1, KEY)
    assert forward.to_txt(DOMAIN) == backward.to_txt(DOMAIN)


def test_of_one_nodes_records_the_newest_is_taken():
    made = make_tree([record(1), record(1, 3), record(1, 2)], [], 1, KEY)
    assert made.records == (record(1, 3),)


def test_a_signed_tree_is_restored():
    links = [url("b.example.org"), url("a.example.org")]
    made = tree(20, 7, links)
    root = (7, made.root.signature_text)
    assert restore_tree(records(20)[::-1], links, root, KEY.public_key).to_txt(DOMAIN) == made.to_txt(DOMAIN)
    for count, order, (sequence, signature), key in (
        (19, links, root, KEY),
        (20, links[::-1], root, KEY),
        (20, links, (8, root[1]), KEY),
        (20, links, (7, "A" * 87), KEY),
        (20, links, (7, ""), KEY),
        (20, links, (7, "\N{SNOWMAN}"), KEY),
        (20, links, root, SIGNER),
    ):
        with pytest.raises(DecodingError, match="signature"):
            restore_tree(records(count), order, (sequence, signature), key.public_key)


def test_everything_fits_into_one_dns_message():
    """An answer to a question for the longest record there is has 512 bytes at most, or is not made."""
    largest = Record.sign(KEY, 1, {"x": b"\xb8\xb1" + bytes(177)})
    assert len(largest.encode()) == 300
    made = make_tree([largest], [], 1, KEY)
    domain = f"{'d' * 24}.{'d' * 24}"
    with pytest.raises(LocalProtocolError, match="a DNS message of 513 bytes"):
        made.to_txt(domain + "d")
    sizes: list[int] = []
    for name, text in made.to_txt(domain).items():
        answer = dns.message.make_response(dns.message.make_query(f"{name}.", "TXT"))
        strings = " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))
        answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", strings))
        sizes.append(len(answer.to_wire()))
    assert max(sizes) == 512


@pytest.mark.parametrize("domain", ["", ".", "a b", "a..b", "x" * 201])
def test_nothing_is_published_under_what_is_no_domain(domain):
    with pytest.raises(LocalProtocolError, match="is not a domain"):
        tree(1).to_txt(domain)


@pytest.mark.parametrize("sequence", [-1, 2**64])
def test_a_sequence_number_has_64_bits(sequence):
    with pytest.raises(LocalProtocolError, match="sequence number"):
        make_tree([], [], sequence, KEY)
    assert Root.parse(make_tree([], [], 2**64 - 1, KEY).root.text).sequence == 2**64 - 1
