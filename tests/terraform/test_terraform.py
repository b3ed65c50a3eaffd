"""`terraform/`: against the real schema of the google provider, by terraform itself, without its binary or Google."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from airfleet import inventory as inventories
from airfleet import terraform_outputs
from tests.terraform import stand_in

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "terraform"
needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None, reason="terraform is not on the path: install 1.11 or newer"
)


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    """Environment in which terraform finds the stand-in of the google provider."""
    with stand_in.running(tmp_path_factory.mktemp("provider"), stand_in.types_in(SOURCES)) as env:
        yield env


@needs_terraform
def test_layout():
    """The files are laid out as terraform lays them out."""
    done = stand_in.terraform(SOURCES, dict(os.environ), "fmt", "-check", "-diff", "-recursive", "-no-color")
    assert (0, "") == (done.returncode, done.stdout)


@needs_terraform
def test_every_argument_is_the_providers(env):
    """Every resource type, argument and block is one of the google provider's, and none that is required is missing."""
    done = stand_in.terraform(SOURCES, env, "validate", "-no-color")
    assert (0, "Success! The configuration is valid.\n") == (done.returncode, done.stdout.strip() + "\n"), done.stderr


@pytest.fixture(scope="module")
def ran(env):
    """What `terraform test` says of the runs in terraform/tests, with the plans and states that they made."""
    return stand_in.terraform(SOURCES, env, "test", "-json", "-verbose").stdout


def told(ran, kind):
    """Return the messages of one kind."""
    return [message for message in map(json.loads, ran.splitlines()) if message["type"] == kind]


@needs_terraform
def test_what_is_made(ran):
    """The runs in terraform/tests hold: what is made by default and by choice, and what is refused."""
    runs = sum(path.read_text().count('\nrun "') for path in (SOURCES / "tests").glob("*.tftest.hcl"))
    wrong = [f"{each['@message']}: {each['diagnostic']['detail']}" for each in told(ran, "diagnostic")]
    summary = told(ran, "test_summary")[0]["test_summary"]
    assert ("pass", runs, 0) == (summary["status"], summary["passed"], summary["failed"]), wrong


def test_every_validation_has_a_run_that_it_refuses():
    """No rule on a variable without a value that breaks it."""
    rules = (SOURCES / "variables.tf").read_text().count("  validation {")
    refused = (SOURCES / "tests" / "refused.tftest.hcl").read_text()
    assert 20 < rules <= refused.count("expect_failures = [var.")


@needs_terraform
def test_the_outputs_become_an_inventory(ran):
    """What this very Terraform puts out goes into the shipped inventory, which is in order then."""
    state = next(each for each in told(ran, "test_state") if each["@testrun"] == "outputs_are_the_inventorys_keys")
    outputs = terraform_outputs.read(json.dumps(state["test_state"]["outputs"]), "outputs.json")
    found = terraform_outputs.merge(outputs, (ROOT / "inventory.yaml").read_text(), ROOT / "inventory.yaml")
    inventory = inventories.parse(found.text, ROOT / "inventory.yaml")
    assert ("10.20.0.7", ("gpu",)) == (inventory.redis_address, inventory.hosts["gpu-1"].celery.queues)
    assert ["dags.repository"] == list(inventories.examples(inventory))


@needs_terraform
def test_no_plan_and_no_state_has_the_password(ran):
    """It is a variable of every run, and in nothing that terraform writes down."""
    assert 10 < ran.count("password_wo_version")
    assert 0 == ran.count("sixteen-letters-and-more")


MISTAKES = {
    "misspelt argument": ("database.tf", "availability_type  ", "availabilty_type   ", "Unsupported argument"),
    "misspelt nested argument": ("database.tf", "ipv4_enabled   ", "ipv4_enable    ", "Unsupported argument"),
    "misspelt block": ("hosts.tf", "shielded_instance_config {", "shielded_instance {", "Unsupported block type"),
    "misspelt type": (
        "bucket.tf",
        '"google_storage_bucket" "logs"',
        '"google_storage_buckett" "logs"',
        "Invalid resource",
    ),
    "missing required argument": (
        "hosts.tf",
        "  machine_type = each.value.machine_type\n",
        "",
        "Missing required argument",
    ),
    "missing nested required argument": (
        "database.tf",
        "    tier                        = var.database.tier\n",
        "",
        "Missing",
    ),
    "missing required block": ("hosts.tf", "boot_disk {", "attached_disk {", "Insufficient boot_disk blocks"),
    "block as an argument": ("hosts.tf", "network_interface {", "network_interface = {", "Unsupported argument"),
    "one block too many": ("secrets.tf", "    auto {}\n", "    auto {}\n    auto {}\n", "Too many auto blocks"),
    "wrong type": ("network.tf", "prefix_length = 20", 'prefix_length = "twenty"', "Incorrect attribute value type"),
    "what only Google gives": ("hosts.tf", "  allow_stopping", '  self_link = "x"\n  allow_stopping', "unconfigurable"),
    "an attribute that is none": ("outputs.tf", ".private_ip_address", ".private_address", "Unsupported attribute"),
    "a secret where the state has it": ("database.tf", "  password_wo         = ", "  password = ", "Ephemeral"),
}


@needs_terraform
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name, env, tmp_path):
    """The check is not blind: each of these mistakes fails, by its own words."""
    file, right, wrong, words = MISTAKES[name]
    copied = shutil.copytree(SOURCES, tmp_path / "terraform", ignore=shutil.ignore_patterns("tests", ".terraform*"))
    text = (copied / file).read_text()
    assert right in text
    (copied / file).write_text(text.replace(right, wrong, 1))
    done = stand_in.terraform(copied, env, "validate", "-no-color")
    assert 1 == done.returncode
    assert words in done.stderr


def test_builds_find_what_is_made_for_them():
    """Secrets, account and substitutions are those of examples/cloudbuild.yaml."""
    build = yaml.safe_load((ROOT / "examples" / "cloudbuild.yaml").read_text())
    made = (SOURCES / "secrets.tf").read_text().partition("secrets = toset(")[2].partition(")")[0]
    read = {each["versionName"].split("/")[3] for each in build["availableSecrets"]["secretManager"]}
    assert read == set(re.findall(r'"([^"]+)"', made))
    accounts = (SOURCES / "accounts.tf").read_text()
    assert f'account_id   = "{build["serviceAccount"].rpartition("/")[2].partition("@")[0]}"' in accounts
    given = (SOURCES / "cloudbuild.tf").read_text().partition("substitutions = {")[2]
    assert set(build["substitutions"]) == set(re.findall(r"^    (_\w+) ", given, re.MULTILINE))


def test_no_state_and_no_lock_of_the_stand_in_is_committed():
    """What a try leaves, and what a state tells, stays out of git."""
    argv = [
        "git",
        "check-ignore",
        "--no-index",
        "terraform/terraform.tfstate",
        "terraform/.terraform/x",
        "terraform/my.tfvars",
    ]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert argv[3:] == done.stdout.split()


@pytest.mark.skipif(not os.environ.get("AIRFLEET_CHECKOV"), reason="AIRFLEET_CHECKOV=1 (make checkov) asks checkov")
def test_checkov_finds_nothing_that_is_not_explained():
    """Checkov has no finding but those that .checkov.yaml skips, each with its reason."""
    program = stand_in.checkov()
    argv = [program, "--config-file", ROOT / ".checkov.yaml", "--directory", SOURCES, "--output", "cli"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr
    assert int(re.search(r"Passed checks: (\d+), Failed checks: 0", done.stdout)[1]) > 50
