"""What there is to ask about the inventory, without contacting a host."""

from __future__ import annotations

from tasks.door import ENV_HELP, command, environment


@command(help={"env": ENV_HELP, "json": "print JSON"})
def check(c, env="", json=False):
    """
    Check the inventory and the secrets beside it: every error at once, each with its line. Nothing is contacted.

    Secrets that are in Google's Secret Manager are checked by `fab secrets.check`.

    Exit code 2 when something is wrong. Example addresses, as in the shipped inventory.yaml, are named but no error;
    so are a database with fewer connections than Airflow may open (`database.max_connections`), and log servers that
    let in anybody because a host with web pages has a name for an address.
    """
    import json as as_json
    import os

    from airfleet import cautions, secret_origins, session
    from airfleet import inventory as inventories
    from airfleet.inventory_file import secrets_beside

    path = inventories.path_of(environment(env), session.inventories_root())
    inventory = inventories.load(path)
    known = secret_origins.at_hand(inventory, secrets_beside(path), os.environ)
    found = inventories.summary(inventory) | {"file": str(path), "secrets": list(known.present())}
    found["warnings"] = cautions.cautions(inventory)
    if json:
        print(as_json.dumps(found, indent=2))
        return
    hosts = ", ".join(f"{name} ({' '.join(host['roles'])})" for name, host in found["hosts"].items())
    examples = f"; still examples: {', '.join(found['examples'])}" if found["examples"] else ""
    print(f"{path.name}: in order: {found['environment']}, Airflow {found['airflow']} on {hosts}{examples}")
    for warning in found["warnings"]:
        print(f"  {warning}")


@command(
    help={
        "env": ENV_HELP,
        "write": "write the file beside the inventory, and say what to set in it",
        "python": "for this Python, such as 3.11 (default: that of airflow.python)",
        "source": "take the versions from this address or file (default: airflow.constraints)",
        "to": "for this version of Airflow, before an upgrade to it (default: airflow.version)",
        "requirements": "take in the packages of this file too: that of your DAG repository (dags.requirements)",
    }
)
def constraints(c, env="", write=False, python="", source="", to="", requirements=""):
    """
    Print the constraints with a digest of every file: what the inventory asks for, resolved here by uv.

    The versions are those of airflow.constraints, the digests those of the package registry that this computer uses. A
    host with such a file installs nothing whose digest is not in it (uv's --require-hashes). No host is contacted.
    """
    from airfleet import digests, session, versions
    from airfleet import inventory as inventories

    path = inventories.path_of(environment(env), session.inventories_root())
    airflow = digests.wanted(inventories.load(path).airflow, to, source)
    minor = digests.python_of(airflow, python)
    text = digests.resolved(airflow, minor, digests.lines_of(requirements) if requirements else ())
    if not write:
        print(text, end="")
        return
    place = digests.place_of(airflow, minor, path.parent)
    digests.write(place, text)
    print(f"written: {place}: {len(versions.read_constraints(text))} packages with their digests")
    if without := versions.without_digest(text):
        print(f"  the registry has no digest for {', '.join(without)}: the others are checked, none is required")
    print(f"  in {path.name}: airflow: {{constraints: {digests.NAME}}}; then: fab plan")


@command(
    help={
        "env": ENV_HELP,
        "file": "what `terraform output -json` has printed; - reads stdin (default: asks terraform, in terraform/)",
        "write": "write the inventory, once you have seen the diff",
    }
)
def from_terraform(c, env="", file="", write=False):
    """
    Bring Terraform's hosts, database and bucket into the inventory: prints a diff, and no more without --write.

    Comments and all other keys stay as they are. A host that Terraform does not know stays too, unless its address is
    an example. Exit code 10 when something would change; 2, and nothing is written, when outputs don't fit.
    """
    import difflib

    from airfleet import inventory as inventories
    from airfleet import session, terraform, terraform_outputs
    from airfleet.errors import ChangesPending

    root = session.inventories_root()
    path = inventories.path_of(environment(env), root)
    text = inventories.text_of(path)
    found = terraform_outputs.merge(terraform_outputs.read(*terraform.outputs(file, root / "terraform")), text, path)
    before, after = text.splitlines(keepends=True), found.text.splitlines(keepends=True)
    print("".join(difflib.unified_diff(before, after, path.name, f"{path.name} from terraform")), end="")
    for name in found.others:
        print(f"  {name} is not Terraform's: kept. Where the machine is gone: fab retire {name} --gone, then delete it")
    if text == found.text:
        print(f"{path.name}: in order: it says what Terraform does")
    elif write:
        terraform.write(path, found.text)
        print(f"{path.name}: written; next: fab inventory.check")
    else:
        raise ChangesPending(
            "changes are pending", place=path.name, remedy="--write", state="nothing was contacted, nothing was written"
        )


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
