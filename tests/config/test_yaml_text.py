"""YAML is read in one way only: keys once, numbers decimal."""

import math

import pytest

from dql.config.yaml_text import parse_yaml, read_words
from dql.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-12", -12),
        ("1_000", 1000),
        ("1e-4", 1e-4),
        ("3E5", 3e5),
        ("-1.5e3", -1500.0),
        ("1e4x", "1e4x"),
        ("'010'", "010"),
        ("2022-01-01x", "2022-01-01x"),
        # A merged key may be replaced: that is what merging is for.
        ("x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\nz: {<<: *x, a: 4}", None),
        ("[{a: 1}, {a: 2}]", [{"a": 1}, {"a": 2}]),
    ],
)
def test_plain_values(text, value):
    if value is None:
        value = {"x": {"a": 1, "b": 2}, "y": {"a": 3, "b": 2}, "z": {"a": 4, "b": 2}}
    assert parse_yaml(text, "here") == value


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a: 1\nb: 2\na: 1", "line 3: the key 'a' stands twice, first in line 1"),
        ("x:\n  - {b: 1, 'b': 2}", "line 2: the key 'b' stands twice"),
        ("{<<: {a: 1}, <<: {b: 1}}", "the key '<<' stands twice"),
        ("x: &x {a: 1, a: 2}\ny: *x", "the key 'a' stands twice"),
        ("010", "'010' is not a decimal number"),
        ("[0x1F]", "'0x1F' is not a decimal number"),
        ("0b1", "'0b1' is not a decimal number"),
        ("1:30", "'1:30' is not a decimal number"),
        ("1:30.5", "'1:30.5' is not a decimal number"),
    ],
)
def test_what_reads_in_two_ways_is_refused(text, named):
    with pytest.raises(UserError, match=rf"here is not valid YAML: .*{named}"):
        parse_yaml(text, "here")


def test_a_text_that_contains_itself_ends():
    (again,) = value = parse_yaml("&a [*a]", "here")
    assert again is value


def test_words_are_read_and_texts_stay():
    words = {"a": ["0", "1e-4", "null", "true", 3, None], "b": {"c": "{d: 1}"}}
    read = {"a": [0, 1e-4, None, True, 3, None], "b": {"c": "{d: 1}"}}
    assert read_words(words, "config") == read
    assert math.isinf(read_words(".inf", "config"))
    with pytest.raises(UserError, match=r"config\.b: '010'"):
        read_words({"b": ["010"]}, "config")
