"""Column names: cleansed and checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import BadHeader, ConfigurationError
from penstock.tabular import cleansed, read_header


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("First Name", "first_name"),
        ("  Zip-Code\t", "zip_code"),
        ("a - b", "a_b"),
        ("E-Mail (work)!", "e_mail_work"),
        ("Größe", "größe"),
        ("GRO\u0308SSE", "grösse"),
        ("氏名", "氏名"),
        ("उम्र", "उम्र"),
        ("_id_", "_id_"),
        ("a.b", "ab"),
        ("\ufeffid", "id"),
        ("2nd", "2nd"),
        ("!?", ""),
        ("", ""),
    ],
)
def test_a_name_is_cleansed(raw, name):
    assert cleansed(raw) == name


@given(st.text())
def test_what_is_cleansed_stays_as_it_is(text):
    once = cleansed(text)
    assert cleansed(once) == once


@pytest.mark.parametrize(
    ("raw", "options", "names"),
    [
        (["First Name", "AGE"], {}, ["first_name", "age"]),
        (["First Name", "AGE"], {"cleanser": "none"}, ["First Name", "AGE"]),
        (["First Name", "AGE"], {"cleanser": str.upper}, ["FIRST NAME", "AGE"]),
        (["A", "B"], {"allowed": ["b", "a"]}, ["a", "b"]),
        (["A", "B"], {"allowed": ["b"], "skip_unknown": True}, [None, "b"]),
        (["A", "", "B", "A"], {"allowed": ["b"], "skip_unknown": True}, [None, None, "b", None]),
        (["A", "B"], {"allowed": ["b"], "required": ["a"]}, ["a", "b"]),
        (["A", "B"], {"required": ["a"]}, ["a", "b"]),
        (["A", "B"], {"skip_unknown": True}, ["a", "b"]),
    ],
)
def test_a_header_is_read(raw, options, names):
    assert read_header(raw, **options) == names


@pytest.mark.parametrize(
    ("raw", "options", "why"),
    [
        (["A", "b", "a"], {}, "columns 1 and 3 are both called a; rename one of them"),
        (["a", "!"], {}, r"column 2 has no name; name it, or set columns=\[...\]"),
        ([], {}, "the header is blank; the first line is to name the columns"),
        (["a"], {"required": ["b", "a", "c"]}, "the header lacks b, c; it has a"),
        (
            ["a", "b", ""],
            {"allowed": ["a"]},
            r"unknown columns: b, \(no name\); allow them, or leave them out with skip_",
        ),
        (
            ["a", "b"],
            {"allowed": ["y", "x"], "skip_unknown": True},
            "none of the columns is known: a, b; known are x, y",
        ),
        (["a", "A"], {"allowed": ["a"]}, "columns 1 and 2 are both called a"),
    ],
)
def test_a_header_that_will_not_do_is_refused(raw, options, why):
    with pytest.raises(BadHeader, match=why):
        read_header(raw, **options)


def test_a_cleanser_that_there_is_not_is_refused():
    with pytest.raises(ConfigurationError, match="the header cleanser is 'default', 'none' or a function; not 'upper'"):
        read_header(["a"], cleanser="upper")
