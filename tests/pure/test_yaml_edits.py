"""Values put into a YAML text: what is asked for is there, and nothing else is touched."""

from __future__ import annotations

import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airfleet.yaml_edits import NotAsLines, merged

EDITS = {
    "a comment keeps its column": (
        "a:\n  b: one    # said\n  c: 1\n",
        {"a": {"b": "three"}},
        "a:\n  b: three  # said\n  c: 1\n",
    ),
    "a comment that has no room stays": ("a: {b: 1}\nc: x # y\n", {"c": "much"}, "a: {b: 1}\nc: much # y\n"),
    "what is there already is left as it is written": (
        'a:\n  b: "one"\n  c: [x,   y]\n',
        {"a": {"b": "one", "c": ["x", "y"]}},
        'a:\n  b: "one"\n  c: [x,   y]\n',
    ),
    "nothing": ("a:\n  b: ~  # none\n", {"a": {"b": 5}}, "a:\n  b: 5  # none\n"),
    "no value": ("a:\n  b:\n  c: 1\n", {"a": {"b": "x"}}, "a:\n  b: x\n  c: 1\n"),
    "no value, a comment": ("a:\n  b:   # which?\n", {"a": {"b": "x"}}, "a:\n  b: x # which?\n"),
    "a list as lines": ("a:\n  b:\n    - x\n    - y\n  c: 1\n", {"a": {"b": ["z"]}}, "a:\n  b: [z]\n  c: 1\n"),
    "a new key as the others": (
        "a:\n    b: 1\n    # end\n\nd: 2\n",
        {"a": {"c": 3}},
        "a:\n    b: 1\n    c: 3\n    # end\n\nd: 2\n",
    ),
    "a new key in braces": ("a: {b: 1}  # x\n", {"a": {"c": [1]}}, "a: {b: 1, c: [1]}  # x\n"),
    "a new key in empty braces": ("a: {}\n", {"a": {"c": "d"}}, "a: {c: d}\n"),
    "a new key below a list as lines": ("a:\n  b:\n  - x # y\n", {"a": {"c": 1}}, "a:\n  b:\n  - x # y\n  c: 1\n"),
    "a new key below a text of lines": (
        "a:\n  b: |\n    x\n\nd: 1\n",
        {"a": {"c": 1}},
        "a:\n  b: |\n    x\n\n  c: 1\nd: 1\n",
    ),
    "a new section": (
        "a: 1",
        {"hosts": {"h": {"x": "y", "z": {"n": 1}}}},
        "a: 1\nhosts:\n  h:\n    x: y\n    z: {n: 1}\n",
    ),
    "words that YAML reads otherwise": ("a: 1\n", {"a": "yes"}, "a: 'yes'\n"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit(name):
    """Each kind of place that a value can have."""
    text, wanted, expected = EDITS[name]
    assert expected == merged(text, wanted)


def test_a_key_goes_with_its_lines_and_the_comments_stay():
    """What is removed is a key with its value; a comment that stands alone is no part of it."""
    text = "h:\n  # first\n  a:\n    x: 1  # gone\n    # second\n  b: {x: 1}\n"
    assert "h:\n  # first\n    # second\n  b: {x: 1}\n" == merged(text, {}, {"h": frozenset({"a"})})
    assert "h:\n  # first\n  c:\n    x: 2\n    # second\n" == merged(
        text.replace("  b: {x: 1}\n", ""), {"h": {"c": {"x": 2}}}, {"h": frozenset({"a"})}
    )


def test_a_key_in_braces_is_not_removed():
    """It is said, not done badly."""
    with pytest.raises(NotAsLines):
        merged("h: {a: 1, b: 2}\n", {}, {"h": frozenset({"a"})})


KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=3)
VALUES = (
    st.integers()
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)
    | st.booleans()
    | st.lists(KEYS, max_size=3)
)
TREES = st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), min_size=1, max_size=4)


def together(old, new):
    """Return what a merge means."""
    both = dict(old)
    for key, value in new.items():
        inner = both.get(key)
        both[key] = together(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return both


@given(old=TREES, new=TREES, braces=st.booleans())
def test_any(old, new, braces):
    """Whatever stands there and whatever is put in: reading it again gives both, the new one where they differ."""
    text = "# top: ☃ 𝄞\n" + yaml.safe_dump(old, default_flow_style=braces, sort_keys=False)
    edited = merged(text, new)
    assert together(old, new) == yaml.safe_load(edited)
    assert edited.startswith("# top: ☃ 𝄞\n")
    assert edited == merged(edited, new)
