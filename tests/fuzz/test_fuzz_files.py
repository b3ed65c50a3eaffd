"""The operator's own files: inventories and secrets files with anything in them are read, or refused in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from fuzzing import HELD, TEXT, VALUES, spoiled, tried
from hypothesis import example, given
from hypothesis import strategies as st

from airfleet import inventory, secrets, secrets_file
from airfleet.errors import UsageError
from airfleet.secret_forms import NAMES

pytestmark = HELD
FILE = Path("/ops/inventory.yaml")
SHIPPED = yaml.safe_load((Path(__file__).parents[2] / "inventory.yaml").read_text())
YAML_LIKE = st.text(alphabet="{}[]:,-&*!|>#%@`'\"?~ \n\tab1.<=", max_size=80)
BOMB = "a: &a [x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP = st.sampled_from(["[" * 5000, "{a: " * 3000, BOMB, "? " * 3000, "- " * 3000, "&a [*a]"])


def dumped(value):
    """Return the value as YAML."""
    try:
        return yaml.safe_dump(value, allow_unicode=True)
    except yaml.YAMLError:
        return yaml.safe_dump(repr(value))


@tried()
@given(YAML_LIKE | DEEP | spoiled(SHIPPED).map(dumped))
def test_any_inventory(text):
    """It is refused in lines that name the file, and no terminal is steered by them; or it can be worked with."""
    try:
        read = inventory.parse(text, FILE)
    except UsageError as e:
        assert re.match(r"inventory\.yaml", str(e))
        return
    assert read.hosts


@tried()
@given(st.dictionaries(st.sampled_from(NAMES) | TEXT, TEXT | VALUES, max_size=4).map(dumped) | YAML_LIKE | DEEP)
def test_any_secrets_file(tmp_path, text):
    """It is refused without a word of any value, or its secrets are what stands in it."""
    path = tmp_path / "secrets.yaml"
    path.write_text(text, errors="replace")
    path.chmod(0o600)
    try:
        found = secrets.load(path, {})
    except UsageError as e:
        assert "Traceback" not in str(e)
        return
    for name in found.present():
        assert len(found[name].reveal()) < 3 or found[name].reveal() not in repr(found)


@tried()
@example({"redis_password": ""}, "{! }")
@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=30), max_size=3), YAML_LIKE)
def test_any_secrets_are_written_so_that_they_are_read(values, text):
    """Whatever was in the file, it has these values then."""
    try:
        before = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return
    if before is not None and not isinstance(before, dict):
        return
    written = secrets_file.with_values(text, values)
    assert {name: yaml.safe_load(written)[name] for name in values} == values


@pytest.mark.parametrize("name", ["pipe", "folder", "zero"])
def test_a_secrets_file_that_is_none(tmp_path, name):
    """A pipe, a folder or a device in its place is refused at once."""
    path = tmp_path / "secrets.yaml"
    {"pipe": lambda: __import__("os").mkfifo(path, 0o600), "folder": lambda: path.mkdir(mode=0o700)}.get(
        name, lambda: path.symlink_to("/dev/zero")
    )()
    with pytest.raises(UsageError):
        secrets.load(path, {})
