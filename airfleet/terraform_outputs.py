"""What `terraform output -json` says, checked as the inventory is, and merged into the inventory's text. Pure.

Three outputs are read: `hosts`, `database` and `logging`, each with keys of the inventory's own section. Others are
left alone; one of the three that is marked as a secret is refused, since an inventory is no place for secrets.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from airfleet import inventory as inventories
from airfleet import places, yaml_edits
from airfleet.errors import UsageError
from airfleet.inventory_errors import reading
from airfleet.sections import Logging, Section
from airfleet.sections_database import Database

_NOTHING = "nothing was contacted, nothing was written"


class Outputs(Section):
    """The outputs that are read."""

    hosts: dict[inventories.HostName, inventories.Host] = Field(min_length=1, description="hosts of the inventory")
    database: Database
    logging: Logging = Field(default_factory=Logging)


@dataclass(frozen=True, slots=True)
class Merged:
    """The inventory's text with what Terraform says, and which of its hosts are not Terraform's."""

    text: str
    examples: tuple[str, ...]
    others: tuple[str, ...]


def read(text: str, file: str) -> dict[str, Any]:
    """Return the values of the three outputs as plain values; a UsageError tells everything that doesn't fit."""
    document = places.read(text, file)  # JSON is YAML, and so each error has its line
    written = document.value
    if not isinstance(written, dict):
        document.complain((), "is not what `terraform output -json` prints: an object with an entry for each output")
        raise places.BadFile(document.complaints)
    document.value = {}
    for name in Outputs.model_fields:
        output = written.get(name)
        if output is None:
            continue
        if not isinstance(output, dict) or "value" not in output:
            document.complain((name,), "is no output: it has no `value`")
        elif output.get("sensitive") is not False:
            document.complain((name,), "is marked as sensitive: secrets do not pass through an inventory")
        else:
            document.value[name] = output["value"]
            document.rename((name, "value"), (name,))
    if not document.complaints:
        reading(document, Outputs)
    if document.complaints:
        raise places.BadFile(document.complaints, remedy="give the outputs of terraform/, after terraform apply")
    return {name: _said(value) for name, value in document.value.items() if value is not None}


def merge(outputs: dict[str, Any], text: str, path: Path) -> Merged:
    """Return the inventory's text with the outputs in it, comments and all else kept; it has been read as an inventory.

    Hosts of the inventory that Terraform does not know stay, except those whose address is an example.
    """
    document = places.read(text, path.name)
    if document.complaints:
        raise places.BadFile(document.complaints)
    if not isinstance(document.value, dict):
        raise UsageError("has no keys with values", place=path.name, state=_NOTHING)
    hosts = document.value.get("hosts")
    known = hosts if isinstance(hosts, dict) else {}
    others = {name: host for name, host in known.items() if name not in outputs["hosts"]}
    examples = tuple(name for name, host in others.items() if inventories.is_example(_address(host)))
    try:
        new = yaml_edits.merged(text, outputs, {"hosts": frozenset(examples)})
    except yaml_edits.NotAsLines as e:
        raise UsageError(
            f"hosts.{e} is an example that has to go, and stands in braces",
            place=path.name,
            remedy="write the hosts as lines, one below the other",
            state=_NOTHING,
        ) from e
    inventories.parse(new, path)
    return Merged(new, examples, tuple(name for name in others if name not in examples))


def _address(host: object) -> str:
    return str(host.get("address", "")) if isinstance(host, dict) else ""


def _said(value: Any) -> Any:
    """Return a value without the keys that say nothing, and with lists as lists."""
    if isinstance(value, dict):
        return {key: _said(inner) for key, inner in value.items() if inner is not None}
    return [_said(each) for each in value] if isinstance(value, tuple) else value
