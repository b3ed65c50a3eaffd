"""airflow.cfg, the environment and their neighbours: every setting in its place, every value as it was meant."""

import ast
import hashlib
import json
import os
import shlex
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from desired_rig import cfg_of
from given_secrets import Given
from hypothesis import given
from hypothesis import strategies as st
from inventories import changed, shipped_with, two_hosts

from airfleet import airflow_cfg, redis_conf
from airfleet.errors import UsageError
from airfleet.secrets import Secret


@pytest.fixture(scope="module")
def shipped():
    return shipped_with()


def test_every_setting_of_the_note_is_there_under_its_real_name(shipped):
    """What the note says, in the places where 2.11.2 reads it."""
    cfg = cfg_of(changed(shipped, logging={"bucket": "aflogs"}))
    wanted = {
        "core": {"executor": "CeleryExecutor", "load_examples": "False"},
        "logging": {
            "base_log_folder": "/home/airflow/airflow/logs",
            "remote_logging": "True",
            "delete_local_logs": "True",
            "remote_log_conn_id": "gcs_logs",
            "remote_base_log_folder": "gs://aflogs/logs",
            "log_filename_template": "{{ ti.dag_id }}/{{ ti.task_id }}/{{ ts }}/{{ ti.try_number }}.log",
            "log_format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
            "simple_log_format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
        },
        "webserver": {
            "workers": "2",
            "default_ui_timezone": "Asia/Seoul",
            "base_url": "http://airflow.example.com",
        },
        "scheduler": {"enable_health_check": "True"},
        "celery": {
            "worker_prefetch_multiplier": "1",
            "task_acks_late": "True",
            "task_track_started": "True",
            "worker_concurrency": "4",
        },
    }
    assert wanted == {section: {key: cfg.get(section, key) for key in keys} for section, keys in wanted.items()}
    assert {
        "task_send_sent_event": True,
        "task_soft_time_limit": 3600,
        "task_time_limit": 3600,
    } == json.loads(cfg.get("celery", "extra_celery_config"))
    assert "basic_auth,airflow.api.auth.backend.session" in cfg.get("api", "auth_backends")


def test_the_dead_keys_of_the_note_are_not_there(shipped):
    """Nothing that 2.11.2 would ignore is written."""
    cfg = cfg_of(changed(shipped, logging={"bucket": "aflogs"}))
    dead = [
        *(("logging", "remote_log_folder"), ("webserver", "rate_limit_storage_uri")),
        *(("celery", key) for key in ("task_send_sent_event", "task_soft_time_limit", "task_time_limit")),
    ]
    assert [] == [place for place in dead if cfg.has_option(*place)]


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_the_rendered_file_is_the_golden_one(version):
    """The whole text of airflow.cfg of the shipped inventory, letter by letter."""
    whole = shipped_with(version)
    text = airflow_cfg.render_cfg(airflow_cfg.settings(whole, whole.hosts["af1"], Given()))
    golden = Path(__file__).parent / "data" / f"airflow-{version}.cfg"
    assert golden.read_text() == text


@given(password=st.text(min_size=1, max_size=40).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text)))
def test_any_password_comes_out_of_the_urls_as_it_went_in(password):
    """Password → URL → airflow.cfg → configparser → urlsplit → the same password, for Redis and PostgreSQL."""
    secrets = Given(redis_password=Secret(password), database_password=Secret(password))
    cfg = cfg_of(shipped_with(), secrets)
    for place in (("celery", "broker_url"), ("celery", "result_backend"), ("database", "sql_alchemy_conn")):
        # Airflow expands variables and a leading ~ in all that it reads.
        url = urlsplit(os.path.expanduser(os.path.expandvars(cfg.get(*place))))  # noqa: PTH111
        assert password == unquote(url.password or "")
        assert url.hostname in ("127.0.0.1", "db.example.com")
    config = airflow_cfg.render_webserver_config(shipped_with(), secrets)
    uri = next(line for line in config.splitlines() if line.startswith("RATELIMIT_STORAGE_URI"))
    assert password == unquote(urlsplit(ast.literal_eval(uri.partition(" = ")[2])).password or "")


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.text(max_size=30), max_size=4))
def test_a_value_is_either_held_by_the_file_or_refused(options):
    """No text of an override is changed on its way through airflow.cfg: what the file can't hold is refused."""
    try:
        text = airflow_cfg.render_cfg({"core": options})
    except UsageError:
        return
    parser = ConfigParser()
    parser.read_string(text)
    assert options == {key: parser.get("core", key) for key in options}


def test_a_refused_value_is_named_and_not_shown():
    """The message has the place, never the value: it may be a secret."""
    with pytest.raises(UsageError) as refused:
        airflow_cfg.render_cfg({"core": {"fernet_key": "sesame \n\n[x"}})
    assert "airflow.config.core.fernet_key" in str(refused.value)
    assert "sesame" not in str(refused.value)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
def test_shells_and_python_read_the_environment_file_alike(value):
    """Any value without control characters survives the EnvironmentFile's quoting."""
    assert [value] == shlex.split(airflow_cfg.environment_value(value))


def test_systemd_would_refuse_a_control_character():
    """Such a value is refused before systemd drops it without more than a line in the journal."""
    with pytest.raises(UsageError, match="control character"):
        airflow_cfg.environment_value("a\x1bb")


def test_the_connection_to_the_bucket_is_there_only_with_a_bucket(shipped):
    """AIRFLOW_CONN_… in single quotes, as JSON; without a bucket there is none."""
    with_bucket = airflow_cfg.render_environment(changed(shipped, logging={"bucket": "aflogs"}))
    assert """AIRFLOW_CONN_GCS_LOGS='{"conn_type": "google_cloud_platform"}'\n""" in with_bucket
    assert "AIRFLOW_CONN" not in airflow_cfg.render_environment(shipped)


def test_a_connection_that_no_variable_can_name_is_refused(shipped):
    """A variable whose name has a hyphen is ignored by systemd."""
    with pytest.raises(UsageError, match="gcs-logs"):
        airflow_cfg.environment(changed(shipped, logging={"bucket": "aflogs", "connection": "gcs-logs"}))


def test_overrides_of_the_inventory_come_last(shipped):
    """airflow.config wins over what airfleet would write, and its values are not quoted by whoever writes them."""
    config = {"core": {"parallelism": 64}, "logging": {"log_format": "100% %(message)s"}, "Webserver": {"WORKERS": 8}}
    settings = airflow_cfg.settings(changed(shipped, airflow={"config": config}), shipped.hosts["af1"], Given())
    assert ("64", "100% %(message)s", "8") == (
        settings["core"]["parallelism"],
        settings["logging"]["log_format"],
        settings["webserver"]["workers"],
    )


def test_one_host_talks_to_itself_and_several_by_address(shipped):
    """Loopback with one host, whatever names it has; with two, the inventory's addresses: Redis and the log servers."""
    several = two_hosts()
    assert "@127.0.0.1:6379/0" in cfg_of(shipped).get("celery", "broker_url")
    assert "@192.0.2.10:6379/0" in cfg_of(several).get("celery", "broker_url")
    for whole, host, address in ((shipped, "af1", "127.0.0.1"), (several, "af2", "192.0.2.11")):
        assert "airfleet_host.address" == cfg_of(whole).get("core", "hostname_callable")
        module = {}
        exec(airflow_cfg.render_host_module(whole, whole.hosts[host]), module)
        assert address == module["address"]()


@pytest.mark.parametrize("password", ["a,b", "비밀", "$HOME", "a${x}", "~root"])
def test_a_flower_password_that_would_not_work_is_refused(shipped, password):
    """Flower splits at commas and compares ASCII; Airflow expands variables and `~`."""
    with pytest.raises(UsageError, match=r"secrets\.flower_password"):
        airflow_cfg.settings(shipped, shipped.hosts["af1"], Given(flower_password=Secret(password)))


def test_a_message_is_not_run_twice_while_its_task_may_still_run(shipped):
    """The visibility timeout is beyond twice the longest time limit of any host, and never below Airflow's day."""
    host = shipped.hosts["af1"]
    long = host.model_copy(update={"celery": host.celery.model_copy(update={"time_limit_s": 90_000})})
    cfg = cfg_of(shipped.model_copy(update={"hosts": {"af1": long}}))
    assert "180600" == cfg.get("celery_broker_transport_options", "visibility_timeout")
    assert "86400" == cfg_of(shipped).get("celery_broker_transport_options", "visibility_timeout")


def test_redis_is_bound_to_loopback_and_the_private_address_only(shipped):
    """One host: loopback alone. Several: loopback and the host's address. Always with a password and noeviction."""
    one = redis_conf.render_redis_conf(shipped, Given()).splitlines()
    several = redis_conf.render_redis_conf(two_hosts(), Given()).splitlines()
    assert "bind 127.0.0.1" in one
    assert "bind 127.0.0.1 192.0.2.10" in several
    for line in ("protected-mode yes", "appendonly yes", "maxmemory 512mb", "maxmemory-policy noeviction"):
        assert line in one


def test_redis_has_one_user_and_its_password_stands_there_as_a_digest(shipped):
    """`default`, who needs no name, is off; a reader of redis.conf cannot log in."""
    text = redis_conf.render_redis_conf(shipped, Given())
    users = [line.split() for line in text.splitlines() if line.startswith("user ")]
    digest = hashlib.sha256(Given().redis_password.reveal().encode()).hexdigest()
    assert [["user", "default", "off"], ["user", "airflow", "on", f"#{digest}", "~*"]] == [users[0], users[1][:5]]
    assert {"+config", "+flushall", "+keys", "+acl", "+@all", "+client", "+script"}.isdisjoint(users[1])
    assert Given().redis_password.reveal() not in text


def test_redis_is_reached_at_an_ipv6_address(shipped):
    """An IPv6 address stands in brackets in every URL."""
    v6 = changed(shipped, redis={"bind": "2001:db8::5"}, database={"host": "2001:db8::7"})
    assert "redis://airflow:pw@[2001:db8::5]:6379/0" == redis_conf.redis_url(v6, "pw", 0)
    assert "@[2001:db8::7]:5432/" in airflow_cfg.database_url(v6, Given())
    assert "[2001:db8::1]" in airflow_cfg.render_host_module(two_hosts(), SimpleNamespace(address="2001:db8::1"))


def test_flower_remembers_as_many_tasks_as_the_inventory_says(shipped):
    """By itself a hundred thousand, 10 KB each: it grew with every task."""
    assert airflow_cfg.environment(shipped)["FLOWER_MAX_TASKS"] == "10000"
    assert "FLOWER_MAX_TASKS=500\n" in airflow_cfg.render_environment(changed(shipped, flower={"max_tasks": 500}))
