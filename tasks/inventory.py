"""What there is to ask about the inventory, without contacting a host."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment


@command(help={"env": ENV_HELP, "json": "print JSON"})
def check(c, env="", json=False):
    """
    Check the inventory and the secrets beside it: every error at once, each with its line. Nothing is contacted.

    Exit code 2 when something is wrong. Example addresses, as in the shipped inventory.yaml, are named but no error;
    so is a database with fewer connections than Airflow may open (`database.max_connections`).
    """
    import json as as_json
    import os

    from airfleet import connections, secrets, session
    from airfleet import inventory as inventories

    path = inventories.path_of(environment(env), session.inventories_root())
    inventory = inventories.load(path)
    known = secrets.load(secrets.path_beside(path), os.environ)
    found = inventories.summary(inventory) | {"file": str(path), "secrets": list(known.present())}
    found["warnings"] = [few] if (few := connections.warning(inventory)) else []
    if json:
        print(as_json.dumps(found, indent=2))
        return
    hosts = ", ".join(f"{name} ({' '.join(host['roles'])})" for name, host in found["hosts"].items())
    examples = f"; still examples: {', '.join(found['examples'])}" if found["examples"] else ""
    print(f"{path.name}: in order: {found['environment']}, Airflow {found['airflow']} on {hosts}{examples}")
    for warning in found["warnings"]:
        print(f"  {warning}")


@command(help={})
def schema(c):
    """
    Print the JSON Schema of inventory files, for editors: fab inventory.schema > inventory.schema.json
    """
    import json

    from airfleet.inventory_reference import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@command(help={})
def reference(c):
    """
    Print the reference of all keys in Markdown: fab inventory.reference > docs/inventory.md
    """
    from airfleet.inventory_reference import reference as page

    print(page(), end="")
