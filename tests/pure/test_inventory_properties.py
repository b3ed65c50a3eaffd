"""Whatever stands in an inventory, it is read or refused in words: never a traceback, never a hang."""

import re
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from airfleet import inventory as inventories
from airfleet import places
from airfleet.errors import UsageError
from tests.nested import paths_of, replaced

FILE = Path("/ops/inventory.yaml")
SHIPPED = yaml.safe_load((Path(__file__).parents[2] / "inventory.yaml").read_text())
HARD = st.sampled_from(
    ["", " ", "a b", "'", '"', "%", "%%s", "$(reboot)", "`id`", "a\nb", "한국어", "-rf", "../..", "\\", "{{ x }}"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | HARD | st.dates()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HARD | st.text(), inner, max_size=3),
    max_leaves=8,
)
SAFE = re.compile(r"[^\x00-\x1f\x7f]*")


def dumped(value):
    """Return the value as YAML."""
    return yaml.dump(value, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True)


def read(text):
    """Return the inventory, or None where the text was refused in words that name file and line."""
    try:
        return inventories.parse(text, FILE)
    except UsageError as e:
        for line in str(e).splitlines():
            assert re.match(r"inventory\.yaml:\d+: .+|  state: nothing was contacted", line), line
        return None


@settings(deadline=None)  # the machine may be busy
@given(st.text())
def test_any_text(text):
    """Any text is refused in words."""
    assert read(text) is None


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet="{}[]:,-&*!|>#%@`'\"?~ \n\tab1.<=", max_size=60))
def test_any_punctuation(text):
    """So is text that is nearly YAML."""
    assert read(text) is None


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(paths_of(SHIPPED)), VALUES)
def test_any_value_anywhere(path, value):
    """The shipped inventory with any one value replaced by anything is read or refused in words."""
    read(dumped(replaced(SHIPPED, path, value)))


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(
        st.tuples(st.sampled_from(["ssh", "redis", "airflow", "celery", "hosts", "dags"]), HARD | st.text(), VALUES)
    )
)
def test_any_keys_anywhere(added):
    """So is the shipped inventory with any keys added."""
    copy = yaml.safe_load(yaml.safe_dump(SHIPPED))
    for section, key, value in added:
        copy[section][key] = value
    read(dumped(copy))


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from([path for path in paths_of(SHIPPED) if path and path[0] != "hosts"]), HARD | st.text())
def test_no_line_breaks_through(path, text):
    """No value that is read can break a line of a file or a command that it is written into."""
    inventory = read(dumped(replaced(SHIPPED, path, text)))
    if inventory is not None and path != ("dags", "known_hosts"):
        value = inventory
        for step in path:
            value = getattr(value, step) if isinstance(step, str) else value[step]
        assert SAFE.fullmatch(str(value))


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.booleans() | st.none() | HARD, max_size=5))
def test_plain_values(values):
    """What PyYAML writes is read back as it was, from lines that are found."""
    document = places.read(yaml.safe_dump(values), "f")
    assert ([], values) == (document.complaints, document.value)
    assert {(), *((key,) for key in values)} == set(document.lines)


@settings(deadline=None)  # the machine may be busy
@given(st.text(), st.lists(st.text()))
def test_nearest(word, known):
    """The nearest word is one of the known words, whatever they are."""
    assert places.closest(word, known) in {None, *known}
