"""Host keys that Google is asked for: by a program in gcloud's place, which notes what it was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import paramiko
import pytest
import yaml

from airfleet import host_keys
from airfleet.errors import HostKeyRefused, HostUnreachable, UsageError

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = {
    "ssh": {"known_hosts": "known_hosts"},
    "database": {"host": "10.1.0.2"},
    "dags": {"repository": "https://git.internal/dags.git"},
    "hosts": {
        "airflow-1": {"address": "10.1.0.11", "roles": ["redis", "scheduler", "webserver"]},
        "airflow-2": {"address": "10.1.0.12", "port": 2222, "roles": ["worker"]},
    },
}
KEY = paramiko.ECDSAKey.generate().get_base64()
OTHER = paramiko.ECDSAKey.generate().get_base64()
KIND = "ecdsa-sha2-nistp256"
FIRST, SECOND = f"10.1.0.11 {KIND} {KEY}", f"[10.1.0.12]:2222 {KIND} {KEY}"


def attributes(value=KEY, kind=KIND):
    return [
        {"namespace": "hostkeys", "key": kind, "value": value},
        {"namespace": "hostkeys", "key": "ssh-dss", "value": "AAAA"},
        {"namespace": "other", "key": KIND, "value": OTHER},
    ]


@pytest.fixture
def google(tmp_path, monkeypatch):
    """A function that makes the program in gcloud's place, which says this; returns its path."""
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(INVENTORY))
    monkeypatch.setenv("AIRFLEET_ROOT", str(tmp_path))

    def says(items, *, fails=""):
        (tmp_path / "said").write_text(json.dumps(items))
        gcloud = tmp_path / "gcloud"
        gcloud.write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\ncat {tmp_path}/said\n'
            + (f"echo '{fails}' >&2; exit 1\n" if fails else "")
        )
        gcloud.chmod(0o755)
        return str(gcloud)

    return says


def ask(gcloud, *, only="", zone="", project=""):
    return host_keys.found("", only=only, asking=host_keys.Asking(gcloud, zone, project))[1]


def test_one_line_for_each_key_that_gcloud_itself_takes(google, tmp_path):
    """A port that is not 22 is part of the name; what is asked for has the zone and the project."""
    found = ask(google(attributes()), zone="asia-northeast3-a", project="example")
    assert found == {"airflow-1": [FIRST], "airflow-2": [SECOND]}
    asked = "compute instances get-guest-attributes airflow-1 --query-path=hostkeys/ --format=json --quiet"
    assert f"{asked} --zone=asia-northeast3-a --project=example" in (tmp_path / "asked").read_text().splitlines()


def test_the_command_prints_them_and_with_write_they_are_appended(google, tmp_path):
    """What was there stays, also a last line without its end."""
    fab = [Path(sys.executable).with_name("fab"), "host-keys", "--gcloud", google(attributes())]
    known = tmp_path / "known_hosts"
    known.write_text(f"{FIRST}\nsomebody {KIND} {OTHER}")
    printed = subprocess.run(fab, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [FIRST, SECOND]
    done = subprocess.run([*fab, "--write"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"+ {SECOND}", f"1 lines written to {known}"]
    assert known.read_text().splitlines() == [FIRST, f"somebody {KIND} {OTHER}", SECOND]


def test_what_is_known_is_not_written_again(google, tmp_path):
    """The second time there is nothing to do, and a file that was not there is made."""
    found, known = ask(google(attributes())), tmp_path / "new" / "known_hosts"
    assert host_keys.write(known, found) == [FIRST, SECOND]
    assert host_keys.write(known, found) == []


def test_a_key_that_differs_is_refused_and_nothing_is_written(google, tmp_path):
    """The other host's neither."""
    known = tmp_path / "known_hosts"
    known.write_text(f"[10.1.0.12]:2222 {KIND} {OTHER}\n")
    with pytest.raises(HostKeyRefused, match=rf"another {KIND} key of \[10.1.0.12\]:2222 than Google"):
        host_keys.write(known, ask(google(attributes())))
    assert known.read_text() == f"[10.1.0.12]:2222 {KIND} {OTHER}\n"


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ([], "Google has no host keys of this VM"),
        (attributes("AAAA\n10.1.0.12 ssh-rsa AAAA"), "Google has no host keys of this VM"),
        (attributes(kind="ssh-rsa"), "Google has no host keys of this VM"),
        ({"error": 3, "queryValue": []}, "what gcloud printed can't be read"),
    ],
)
def test_what_is_no_key_is_none(google, says, problem):
    """The VM wrote it: a key of another kind than it says, or a line break with more behind it, is not passed on."""
    with pytest.raises(HostUnreachable, match=problem):
        ask(google(says))


def test_a_line_break_behind_a_key_ends_it(google):
    """As gcloud itself has it."""
    found = ask(google(attributes(f"{KEY} root@vm\n10.1.0.12 {KIND} {OTHER}")), only="airflow-1")
    assert found == {"airflow-1": [FIRST]}


def test_what_gcloud_says_last_is_passed_on(google):
    """And a program that is not there is the operator's to install."""
    with pytest.raises(HostUnreachable, match="does not tell its host keys: ERROR: no such instance"):
        ask(google([], fails="ERROR: no such instance"))
    with pytest.raises(UsageError, match=r"/nowhere/gcloud can't be run: No such file"):
        ask("/nowhere/gcloud")
    with pytest.raises(UsageError, match="can't be one"):
        ask("/nowhere/gcloud", zone="--impersonate")
