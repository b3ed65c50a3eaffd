"""The inventory's documents say what the program does: the annotated file, the reference, the schema."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airfleet.inventory import SUPPORTED_PYTHONS, SUPPORTED_VERSIONS, Host, Inventory, Notify
from airfleet.inventory_reference import json_schema, reference
from airfleet.secret_forms import NAMES
from airfleet.sections import Section
from airfleet.sections_database import Proxy

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "inventory.yaml").read_text()
SHIPPED = yaml.safe_load(TEXT)
_KINDS = {name: field.annotation for name, field in Inventory.model_fields.items()}
SECTIONS = {name: kind for name, kind in _KINDS.items() if isinstance(kind, type) and issubclass(kind, Section)}


def test_reference_is_current():
    """docs/inventory.md is what `fab inventory.reference` prints."""
    assert reference() == (ROOT / "docs/inventory.md").read_text(), "fab inventory.reference > docs/inventory.md"


def test_reference_has_every_key():
    """Every key stands in the reference, with a meaning."""
    rows = [row.split(" | ") for row in reference().splitlines() if row.startswith("| `")]
    models = [Host, Notify, Proxy, *SECTIONS.values()]
    assert sum(len(model.model_fields) for model in models) + 4 + len(NAMES) == len(rows)
    assert [] == [row for row in rows if len(row[-1].rstrip(" |")) < 5]


@pytest.mark.parametrize("name", SECTIONS)
def test_shipped_has_every_key(name):
    """The annotated inventory has every key of the section, and no other."""
    assert list(SECTIONS[name].model_fields) == list(SHIPPED[name])


def test_shipped_has_every_section():
    """The annotated inventory has every section, and no other."""
    assert set(Inventory.model_fields) == set(SHIPPED)


def test_shipped_names_every_key_of_a_host():
    """The annotated inventory names every key of a host, those that may be left out in a comment."""
    hosts = TEXT.partition("\nhosts:\n")[2]
    assert [] == [name for name in Host.model_fields if not re.search(rf"\b{name}\b", hosts)]


def test_shipped_names_every_key_of_the_proxy():
    """So it does for the Auth Proxy of the database."""
    database = TEXT.partition("\ndatabase:")[2].partition("\nredis:")[0]
    assert [] == [name for name in Proxy.model_fields if not re.search(rf"\b{name}\b", database.partition("proxy:")[2])]


def test_shipped_names_every_key_of_notify():
    """So it does for an entry of `notify`."""
    notify = TEXT.partition("\nnotify: ")[2].partition("\nhosts:")[0]
    assert [] == [name for name in Notify.model_fields if not re.search(rf"\b{name}:", notify)]


@pytest.mark.parametrize("name", SECTIONS)
def test_shipped_shows_defaults(name):
    """Each value in the annotated inventory is the default, where there is one; `~` stands for a derived one."""
    fields = SECTIONS[name].model_fields
    shown = {key: value for key, value in SHIPPED[name].items() if not fields[key].is_required()}
    defaults = {key: fields[key].default for key in shown}
    assert {key: _plain(value) for key, value in defaults.items()} == shown


def test_shipped_shows_top_defaults():
    """So is each value at its top."""
    fields = Inventory.model_fields
    assert [SHIPPED["environment"], SHIPPED["sandbox"]] == [fields["environment"].default, fields["sandbox"].default]


def _plain(value):
    """Return a default as YAML has it."""
    if isinstance(value, tuple):
        return list(value)
    return None if value == "" else str(value) if isinstance(value, Path) else value


@pytest.mark.parametrize("model", [Inventory, Host, Notify, *SECTIONS.values()])
def test_every_key_is_described(model):
    """Every key has a description, except the sections, which have a docstring."""
    missing = [name for name, field in model.model_fields.items() if not field.description and name not in SECTIONS]
    assert ([], True) == (missing, bool(model.__doc__))


def test_versions_have_pythons():
    """For every supported version of Airflow the Pythons are known."""
    assert set(SUPPORTED_VERSIONS) == set(SUPPORTED_PYTHONS)


def test_schema_takes_the_shipped_inventory():
    """The JSON Schema finds no fault with the annotated inventory."""
    assert [] == list(faults(SHIPPED, json_schema()))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"ssh": {"prot": 1}}, ("ssh", "prot")),
        ({"celery": {"concurrency": "4"}}, ("celery", "concurrency")),
        ({"airflow": {"base_url": "nowhere"}}, ("airflow", "base_url")),
        ({"hosts": {"a": {"address": "a", "roles": ["wroker"]}}}, ("hosts", "a", "roles", 0)),
        ({"hosts": {"a": {"roles": ["worker"]}}}, ("hosts", "a", "address")),
        ({"hosts": {"a_b": {"address": "a", "roles": ["worker"]}}}, ("hosts", "a_b")),
        ({"database": {}}, ("database", "host")),
        ({"notify": [{"webhook": "http://chat.internal/x"}]}, ("notify", 0, "webhook")),
        ({"notify": [{"command": ["a"], "on": ["deplyo"]}]}, ("notify", 0, "on", 0)),
        ({"airflow": {"config": {"core": {"a b": 1}}}}, ("airflow", "config", "core", "a b")),
    ],
)
def test_schema_finds_faults(change, path):
    """The JSON Schema finds what an editor should underline."""
    assert [path] == list(faults(SHIPPED | change, json_schema()))


def test_schema_is_plain():
    """The JSON Schema is JSON, says which draft it is, and gives every key a title and a description."""
    schema = json_schema()
    assert schema == json.loads(json.dumps(schema))
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    for part in schema["$defs"].values():
        assert [] == [name for name, words in part["properties"].items() if not words.get("title")]


@pytest.mark.parametrize("command", ["schema", "reference", "check"])
def test_command(command):
    """The commands of the inventory work from a folder that is not the repository's, and contact nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "fabric", "--search-root", ROOT, f"inventory.{command}"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "AIRFLEET_ENV": "", "PYTHONPATH": str(ROOT)},
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert len(done.stdout) > 100


def faults(value, schema, root=None, path=()):
    """Yield the path of each fault: the part of JSON Schema that pydantic writes, and no more."""
    root = root or schema
    assert set(schema) <= _KNOWN | set(_RULES)
    if "$ref" in schema:
        yield from faults(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, path)
    elif "anyOf" in schema:
        each = [list(faults(value, member, root, path)) for member in schema["anyOf"]]
        if [] not in each:
            yield from max(each, key=lambda found: len(found[0]))
    elif not all(_RULES[rule](value, schema[rule]) for rule in _RULES if rule in schema):
        yield path
    elif isinstance(value, dict):
        yield from ((*path, name) for name in schema.get("required", ()) if name not in value)
        for name, inner in value.items():
            allowed = _of_key(schema, name)
            yield from [(*path, name)] if allowed is None else faults(inner, allowed, root, (*path, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from faults(inner, schema.get("items", {}), root, (*path, at))


def _of_key(schema, name):
    """Return the schema of a key's value, or None where the key is not allowed."""
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    for pattern, inner in schema.get("patternProperties", {}).items():
        if re.search(pattern, name):
            return inner
    return None if schema.get("additionalProperties") is False else {}


_KNOWN = {"title", "description", "default", "$schema", "$defs", "format", "properties", "patternProperties"}
_KNOWN |= {"required", "additionalProperties", "items", "anyOf", "$ref"}
_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}
_RULES = {
    "type": lambda value, name: isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool)),
    "enum": lambda value, words: value in words,
    "pattern": lambda value, pattern: re.search(pattern, value) is not None,
    "minimum": lambda value, least: value >= least,
    "maximum": lambda value, most: value <= most,
    "minItems": lambda value, least: len(value) >= least,
    "minLength": lambda value, least: len(value) >= least,
    "minProperties": lambda value, least: len(value) >= least,
}
