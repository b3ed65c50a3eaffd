"""The linter of airflow.cfg: it finds what the installed Airflow would ignore, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from given_secrets import Given
from inventories import changed, shipped_with

from airfleet import airflow_cfg
from airfleet.generations import AIRFLOW_2
from airfleet.lint import Catalogue, Finding, lint, read_catalogue, read_cfg

DATA = Path(__file__).parent / "data"
PROGRAM = Path(__file__).parents[2] / "airfleet" / "agent" / "catalogue.py"


@pytest.fixture(scope="module")
def catalogue():
    return read_catalogue((DATA / "catalogue-2.11.2.json").read_text())


def findings(settings, catalogue):
    return [(found.place, found.verdict) for found in lint(settings, catalogue, AIRFLOW_2)]


def test_the_notes_file_has_exactly_its_five_dead_keys(catalogue):
    """All of the note's blocks as one file: exactly the five keys that 2.11.2 does not know."""
    note = read_cfg((DATA / "note-airflow.cfg").read_text())
    assert [
        ("logging.remote_log_folder", "unknown"),
        ("webserver.rate_limit_storage_uri", "unknown"),
        ("celery.task_send_sent_event", "unknown"),
        ("celery.task_soft_time_limit", "unknown"),
        ("celery.task_time_limit", "unknown"),
    ] == findings(note, catalogue)


def test_each_dead_key_of_the_note_is_told_its_right_name(catalogue):
    """The remedy is what to write instead."""
    note = read_cfg((DATA / "note-airflow.cfg").read_text())
    remedies = {found.key: found.remedy for found in lint(note, catalogue, AIRFLOW_2)}
    assert "write [logging] remote_base_log_folder" == remedies["remote_log_folder"]
    assert "write RATELIMIT_STORAGE_URI in webserver_config.py" == remedies["rate_limit_storage_uri"]
    for key in ("task_send_sent_event", "task_soft_time_limit", "task_time_limit"):
        assert f'it is Celery\'s own: write [celery] extra_celery_config = {{"{key}": …}}' == remedies[key]


@pytest.mark.parametrize("bucket", [None, "aflogs"])
def test_what_airfleet_renders_has_no_finding(catalogue, bucket):
    """Only keys that the installed version knows, with and without a bucket."""
    whole = changed(shipped_with(), logging={"bucket": bucket})
    settings = airflow_cfg.settings(whole, whole.hosts["af1"], Given())
    assert [] == findings(settings, catalogue)
    assert [] == findings(read_cfg(airflow_cfg.render_cfg(settings)), catalogue)


def test_an_override_of_the_inventory_is_looked_at_too(catalogue):
    """A slip in airflow.config is found like any other."""
    whole = changed(shipped_with(), airflow={"config": {"scheduler": {"max_tis_per_quary": 4}}})
    (found,) = lint(airflow_cfg.settings(whole, whole.hosts["af1"], Given()), catalogue, AIRFLOW_2)
    assert Finding("scheduler", "max_tis_per_quary", "unknown", "is it [scheduler] max_tis_per_query?") == found


@pytest.mark.parametrize(
    ("section", "key", "verdict", "remedy"),
    [
        ("core", "sql_alchemy_conn", "moved", "write [database] sql_alchemy_conn"),
        ("core", "remote_base_log_folder", "moved", "write [logging] remote_base_log_folder"),
        ("celery", "default_queue", "moved", "write [operators] default_queue"),
        ("admin", "sensitive_variable_fields", "moved", "write [core] sensitive_var_conn_names"),
        ("kubernetes", "", "moved", "write [kubernetes_executor]"),
        ("loging", "base_log_folder", "unknown", "is it [logging] base_log_folder?"),
        ("core", "worker_concurrency", "unknown", "write [celery] worker_concurrency"),
        ("webserver", "zzz", "unknown", "[webserver] has nothing like it: remove it"),
    ],
)
def test_a_wrong_place_is_told_the_right_one(catalogue, section, key, verdict, remedy):
    """Moved by Airflow, misspelt, or in somebody else's section."""
    (found,) = lint({section: {key or "namespace": "x"}}, catalogue, AIRFLOW_2)
    assert Finding(section, key, verdict, remedy) == found


def test_a_deprecated_key_is_told_why(catalogue):
    """The one setting that 2.11.2 itself marks as deprecated."""
    (found,) = lint({"database": {"load_default_connections": "False"}}, catalogue, AIRFLOW_2)
    assert "deprecated" == found.verdict
    assert 'only used by the deprecated "airflow db init"' in found.remedy


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("celery_broker_transport_options", "queue_order_strategy"),
        ("celery_result_backend_transport_options", "anything"),
        ("sentry", "traces_sample_rate"),
        ("acme_warehouse", "endpoint"),
        ("secrets", "backend_kwargs"),
        ("database", "sql_alchemy_conn_cmd"),
        ("celery", "broker_url_secret"),
        ("celery", "broker_connection_retry_on_startup"),
        ("webserver", "log_request_clock_grace"),
    ],
)
def test_what_airflow_reads_is_no_finding(catalogue, section, key):
    """Open sections, a team's own section, KEY_cmd of a secret, and what the code reads though no catalogue says so."""
    assert [] == findings({section: {key: "x"}}, catalogue)


def test_a_command_for_what_is_no_secret_is_ignored_by_airflow(catalogue):
    """KEY_cmd exists only for secrets."""
    assert [("core.parallelism_cmd", "unknown")] == findings({"core": {"parallelism_cmd": "x"}}, catalogue)


def test_a_finding_never_shows_a_value(catalogue):
    """A misspelt secret stays a secret."""
    (found,) = lint({"core": {"fernet_keyy": "sesame"}}, catalogue, AIRFLOW_2)
    assert "is it [core] fernet_key?" in str(found)
    assert "sesame" not in f"{found!s}{found!r}"


def test_the_catalogue_program_reads_an_installation_without_importing_it(tmp_path):
    """Executed as on a host, beside a package whose import would fail: it prints what config.yml and providers say."""
    airflow = tmp_path / "airflow"
    (airflow / "config_templates").mkdir(parents=True)
    (airflow / "providers" / "acme").mkdir(parents=True)
    (airflow / "__init__.py").write_text("raise SystemExit('imported')")
    options = "{fernet_key: {sensitive: true}, old: {version_deprecated: '2', deprecation_reason: gone}}"
    (airflow / "config_templates" / "config.yml").write_text(f"core: {{options: {options}}}\n")
    (airflow / "configuration.py").write_text(
        "class P:\n    deprecated_options: dict = {('core', 'new'): ('core', 'older', '2.1')}\n"
        "    deprecated_sections = {'fresh': ('stale', '2.5')}\n"
    )
    (airflow / "providers" / "acme" / "get_provider_info.py").write_text(
        "def get_provider_info():\n    return {'config': {'acme': {'options': {'endpoint': {}}}}}\n"
    )
    for name, more in (("apache_airflow", ""), ("acme", "airflow.providers.acme.get_provider_info:get_provider_info")):
        info = tmp_path / f"{name}-2.11.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name.replace('_', '-')}\nVersion: 2.11.2\n")
        if more:
            (info / "entry_points.txt").write_text(f"[apache_airflow_provider]\nprovider_info={more}\n")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; exec(compile(open({str(PROGRAM)!r}).read(), 'x', 'exec'))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert Catalogue(
        airflow="2.11.2",
        options={
            "core": {"fernet_key": {"secret": 1}, "old": {"gone": "gone"}},
            "acme": {"endpoint": {}},
        },
        moved={("core", "older"): ("core", "new"), ("stale", ""): ("fresh", "")},
        celery=frozenset(),
    ) == read_catalogue(printed)
    assert {"airflow", "sections", "moved", "celery"} == set(json.loads(printed))
