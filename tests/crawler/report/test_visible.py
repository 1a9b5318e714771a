"""What strangers wrote is shown as it is: nothing hides, turns lines round, or covers what stands beside it."""

import unicodedata

import pytest
from devp2p_crawler.report.visible import plain, visible
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Geth/v1.16.7", "Geth/v1.16.7"),
        ("", "⟨empty⟩"),
        ("a\u202eb\u2066", "a⟨U+202E⟩b⟨U+2066⟩"),
        ("\x00\x1b[31m\n", "⟨U+0000⟩⟨U+001B⟩[31m⟨U+000A⟩"),
        ("a\u00a0b\u3000c", "a b c"),
        ("\u200b\ufeff\u3164", "⟨U+200B⟩⟨U+FEFF⟩⟨U+3164⟩"),
        ("e\u0301", "e\u0301"),
        ("e\u0301\u0301\u0301", "e\u0301\u0301⟨U+0301⟩"),
        ("\U000e0041", "⟨U+E0041⟩"),
        ("שלום", "שלום"),
        ("123456", "12345…"),
    ],
)
def test_texts(text, shown):
    assert visible(text, 5 if text == "123456" else 80) == shown


@given(st.text())
def test_nothing_unseen_is_left(text):
    for letter in visible(text):
        assert unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(), st.integers(4, 40))
def test_labels_are_printable_ascii_of_bounded_length(text, longest):
    label = plain(text, longest)
    assert 0 < len(label) <= longest
    assert all(" " <= letter <= "~" for letter in label)
