"""Status, doctor and the archive of an incident on booted machines that are well, and with one that is away."""

from __future__ import annotations

import json
import tarfile

import pytest

from sandbox.machine import pause, resume

pytestmark = [pytest.mark.live, pytest.mark.timeout(1500)]


def test_status_of_a_healthy_installation(installation):
    """Exit 0, one screen, everything known: not one question mark."""
    said = installation.fab("status").stdout
    lines = said.splitlines()
    assert "✓ well" in said
    assert "?" not in said
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    seen = json.loads(installation.fab("status", "--json").stdout)
    assert seen["well"] is True
    assert seen["workers"]["worker1@af2"]["queues"] == ["default"]
    assert {unit for host in seen["hosts"].values() for unit in host["units"].values()} == {"active"}


def test_doctor_finds_nothing_on_a_healthy_installation(installation):
    """Exit 0, one sentence, and no secret in what it knows."""
    said = installation.fab("doctor").stdout
    assert said.startswith("Nothing wrong that can be seen.")
    text = installation.fab("doctor", "--json").stdout + installation.fab("status", "--json").stdout
    assert [name for name, value in installation.secret_values().items() if value.strip() in text] == []


def test_a_host_that_is_away_is_said_and_the_rest_is_shown(installation):
    """Exit 9: that row says why, every other line is there; the doctor names the host and nothing that follows."""
    pause("af2", site=installation.site)
    try:
        done = installation.fab("status", rc=9)
        found = json.loads(installation.fab("doctor", "--json", rc=9).stdout)
    finally:
        resume("af2", site=installation.site)
    assert "af2  ✗ unreachable" in done.stdout
    assert "af1  ✓" in done.stdout
    assert "scheduler ✓" in done.stdout
    assert [each["id"] for each in found["causes"]] == ["host-unreachable"]
    installation.fab("status")


def test_an_incident_is_one_archive_without_secrets(installation, tmp_path):
    """For its owner alone; status, diagnosis, facts, history, journals of both hosts, and not one secret."""
    said = installation.fab("incident", "--to", str(tmp_path), "--since", "10 minutes ago").stdout
    (path,) = tmp_path.glob("incident-*.tar.gz")
    assert str(path) in said
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:
        texts = {m.name.partition("/")[2]: archive.extractfile(m).read().decode() for m in archive.getmembers()}
    names = {"status.txt", "doctor.txt", "doctor.json", "facts.json", "plan.txt", "history.json", "journals.log"}
    assert names <= texts.keys()
    assert "af1" in texts["journals.log"]
    assert "af2" in texts["journals.log"]
    for name, value in installation.secret_values().items():
        assert [file for file, text in texts.items() if value.strip() in text] == [], name
