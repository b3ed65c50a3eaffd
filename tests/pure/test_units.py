"""The units: hardened, graceful, and with a stamp that is what `Unit.reads` says."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from given_secrets import Given
from hypothesis import given
from hypothesis import strategies as st
from inventories import SHIPPED, changed, shipped_with, two_hosts

from airfleet import inventory, units
from airfleet.errors import UsageError
from airfleet.generations import GENERATIONS, generation_of
from airfleet.resources import digest

DATA = Path(__file__).parent / "data"
each_service = pytest.mark.parametrize(
    ("version", "service"),
    [(each.versions[0], service) for each in GENERATIONS for service in each.services],
    ids=lambda value: getattr(value, "name", value),
)
LINKS = {"/home/airflow/.pyenv/versions/.venv": "airflow-abcd", "/home/airflow/dags/current": "releases/c0ffee"}


@pytest.fixture(scope="module")
def shipped():
    return shipped_with()


def rendered(whole, name):
    generation = generation_of(whole.airflow.version)
    return units.render_unit(whole, whole.hosts["af1"], generation.service(name))


def settings_of(text):
    """Return {key: [value, …]} of a unit file."""
    found = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def units_of(whole, host="af1"):
    return units.units(whole, whole.hosts[host], Given(), venv_digest="abcd", commit="c0ffee")


def test_the_units_of_a_host_stand_in_the_order_in_which_they_start(shipped):
    """Redis first; a worker only after its log server, the triggerer's after it; Flower last."""
    assert [
        "redis-server.service",
        "airflow-scheduler.service",
        "airflow-triggerer.service",
        "airflow-trigger-logs.service",
        "airflow-webserver.service",
        "airflow-logs.service",
        "airflow-worker@1.service",
        "airflow-worker@2.service",
        "airflow-flower.service",
    ] == [unit.name for unit in units_of(shipped)]


def test_a_worker_host_has_its_workers_and_one_log_server():
    """Port 8793 once for each host, however many workers there are."""
    assert ["airflow-logs.service", "airflow-worker@1.service", "airflow-worker@2.service"] == [
        unit.name for unit in units_of(two_hosts(), "af2")
    ]


@pytest.mark.parametrize(
    ("version", "name"), [("2.11.2", "webserver"), ("2.11.2", "worker"), ("3.3.2", "api-server"), ("3.3.2", "worker")]
)
def test_the_rendered_unit_is_the_golden_one(version, name):
    """The whole text of the unit, letter by letter."""
    golden = DATA / version / generation_of(version).service(name).unit_file
    assert golden.read_text() == rendered(shipped_with(version), name)


def test_the_worker_runs_celery_itself_with_a_unique_name(shipped):
    """The note's command line, with its queues; `%i` and `%H` are systemd's to fill in."""
    wanted = (
        "/home/airflow/.pyenv/versions/.venv/bin/celery -A airflow.providers.celery.executors.celery_executor.app"
        " worker --loglevel INFO -E --hostname worker%i@%H --queues default -O fair --concurrency 4"
    )
    assert [wanted] == settings_of(rendered(shipped, "worker"))["ExecStart"]


def test_a_worker_is_given_the_time_that_its_longest_task_may_take(shipped):
    """KillMode=mixed and a TimeoutStopSec beyond the hard limit: no restart kills a task."""
    worker = settings_of(rendered(changed(shipped, airflow={}), "worker"))
    assert (["mixed"], ["SIGTERM"], ["3900s"], ["always"], ["continue"]) == tuple(
        worker[key] for key in ("KillMode", "KillSignal", "TimeoutStopSec", "Restart", "OOMPolicy")
    )
    assert {3900} == {unit.stop_timeout_s for unit in units_of(shipped) if "worker@" in unit.name}


@each_service
def test_no_secret_stands_in_a_unit(version, service):
    """Unit files are for all to read, and an argument is seen in `ps`."""
    text = rendered(shipped_with(version), service.name)
    for secret in vars(Given()).values():
        assert secret.reveal() not in text


def test_only_a_web_server_below_port_1024_gets_a_capability(shipped):
    """Port 80: that one capability, and no user namespace, in which it would not count. Else none at all."""
    low = settings_of(rendered(shipped, "webserver"))
    high = settings_of(rendered(changed(shipped, airflow={"web_port": 8080}), "webserver"))
    assert (["CAP_NET_BIND_SERVICE"], ["CAP_NET_BIND_SERVICE"], None) == (
        low["CapabilityBoundingSet"],
        low["AmbientCapabilities"],
        low.get("PrivateUsers"),
    )
    assert ([""], [""], ["yes"]) == (
        high["CapabilityBoundingSet"],
        high["AmbientCapabilities"],
        high.get("PrivateUsers"),
    )
    assert [""] == settings_of(rendered(shipped, "scheduler"))["CapabilityBoundingSet"]


def test_the_web_servers_pid_file_goes_with_the_unit(shipped):
    """It lies in the runtime folder, which systemd empties: after a `kill -9` none is left to refuse the next start."""
    assert settings_of(rendered(shipped, "webserver"))["ExecStart"][0].endswith("--pid /run/%N/webserver.pid")


@each_service
def test_a_unit_reads_what_its_stamp_command_names(version, service):
    """The paths after the script are the paths of `reads`, in that order."""
    whole = shipped_with(version)
    stamp, *_ = settings_of(rendered(whole, service.name))["ExecStartPre"]
    unit = next(unit for unit in units_of(whole) if unit.name == service.unit(1))
    assert [path for path, _ in unit.reads] == shlex.split(stamp)[4:]


def test_the_stamp_that_the_shell_writes_is_what_reads_says(shipped, tmp_path):
    """The command is run with the files and links in place: its lines are the digests and targets of `Unit.reads`."""
    host = shipped.hosts["af1"]
    for file in [*units.config_files(shipped, host, Given()), *units.unit_files(shipped, host)]:
        path = tmp_path / file.path[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
    for link, target in LINKS.items():
        path = tmp_path / link[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    for unit in units_of(shipped):
        words = shlex.split(units.stamp_words([path for path, _ in unit.reads], runtime="RUN"))
        # systemd takes `$$` as `$`.
        script = words[2].replace("$$", "$").replace("/run/RUN/stamp", "stamp")
        paths = [path[1:] for path in words[4:]]
        subprocess.run([words[0], words[1], script, words[3], *paths], cwd=tmp_path, check=True)
        stamp = tmp_path / "stamp"
        assert [f"{value}  {path[1:]}" for path, value in unit.reads] == stamp.read_text().splitlines()
        assert 0o600 == os.stat(stamp).st_mode & 0o777  # noqa: PTH116
        stamp.unlink()


def test_a_file_that_is_not_there_makes_the_stamp_differ(tmp_path):
    """The service starts all the same; the line without a digest tells."""
    words = shlex.split(units.stamp_words(["missing"], runtime="RUN"))
    script = words[2].replace("$$", "$").replace("/run/RUN/stamp", "stamp")
    done = subprocess.run(
        [words[0], words[1], script, *words[3:]], cwd=tmp_path, check=False, stderr=subprocess.DEVNULL
    )
    assert (0, "  missing\n") == (done.returncode, (tmp_path / "stamp").read_text())


def test_reads_changes_with_everything_that_a_process_reads(shipped):
    """Another venv, another release, another password: each makes the running worker stale."""

    def reads(whole=shipped, secrets=None, venv="abcd", commit="c0ffee"):
        found = units.units(whole, whole.hosts["af1"], secrets or Given(), venv_digest=venv, commit=commit)
        return dict(next(unit for unit in found if unit.name == "airflow-worker@1.service").reads)

    def differing(other):
        return [path for path, value in reads().items() if other[path] != value]

    assert ["/home/airflow/.pyenv/versions/.venv"] == differing(reads(venv="ef01"))
    assert ["/home/airflow/dags/current"] == differing(reads(commit="beef"))
    config = {"core": {"parallelism": 64}}
    assert ["/home/airflow/airflow/airflow.cfg"] == differing(reads(changed(shipped, airflow={"config": config})))


def test_a_host_among_several_reads_its_address_too():
    """The module with the host's own address is stamped like any other file."""
    paths = [path for path, _ in units_of(two_hosts(), "af2")[0].reads]
    assert "/home/airflow/airflow/config/airfleet_host.py" in paths


def test_flower_and_the_log_servers_outlive_a_deploy(shipped):
    """They read no DAG: a new release does not make them stale."""
    without = {unit.name for unit in units_of(shipped) if "/home/airflow/dags/current" not in dict(unit.reads)}
    log_servers = {"airflow-logs.service", "airflow-trigger-logs.service"}
    assert {"redis-server.service", "airflow-flower.service", *log_servers} == without


def test_the_distributions_redis_gets_a_stamp_by_a_drop_in(shipped):
    """Its own unit lets no program but Redis run, so the stamp is written with full rights (`+`)."""
    drop_in = next(file for file in units.unit_files(shipped, shipped.hosts["af1"]) if "redis" in file.path)
    settings = settings_of(drop_in.text)
    assert ["redis-server"] == settings["RuntimeDirectory"]
    assert settings["ExecStartPre"][0].startswith("+/bin/sh -c ")
    unit = units_of(shipped)[0]
    assert "/run/redis-server/stamp" == unit.stamp_path
    assert digest(drop_in.text) == dict(unit.reads)[drop_in.path]


@each_service
def test_every_unit_is_hardened(version, service):
    """What took the note's 9.5 UNSAFE to below 2."""
    settings = settings_of(rendered(shipped_with(version), service.name))
    wanted = {
        "NoNewPrivileges": ["yes"],
        "ProtectSystem": ["strict"],
        "ProtectHome": ["tmpfs"],
        "PrivateTmp": ["yes"],
        "PrivateDevices": ["yes"],
        "SystemCallFilter": ["@system-service"],
        "BindReadOnlyPaths": ["/home/airflow/.pyenv /home/airflow/dags"],
        "ReadWritePaths": ["/home/airflow/airflow"],
        "User": ["airflow"],
        "RuntimeDirectory": ["%N"],
        "WantedBy": ["multi-user.target"],
    }
    assert wanted == {key: settings[key] for key in wanted}


def with_units(text):
    """Return the shipped inventory with these units."""
    return inventory.parse(SHIPPED.read_text().replace("\nunits: {} ", f"\nunits: {text} ", 1), SHIPPED)


def test_what_the_inventory_says_of_a_unit_stands_last_in_it():
    """A later line of a list adds to it, any other takes the place of the earlier one; other units are as they were."""
    whole = with_units("{airflow-worker: {MemoryMax: 8G, ReadWritePaths: /srv/data, PrivateDevices: false, Nice: 5}}")
    text = rendered(whole, "worker")
    assert "MemoryMax=8G\nReadWritePaths=/srv/data\nPrivateDevices=no\nNice=5\n\n[Install]" in text
    assert "MemoryMax" not in rendered(whole, "scheduler")
    assert ["/home/airflow/airflow", "/srv/data"] == settings_of(text)["ReadWritePaths"]


def test_redis_and_the_backup_can_be_told_more_too():
    """They are units of airfleet's, in whole or in part."""
    whole = with_units("{redis-server: {CPUQuota: 50%}}")
    assert "CPUQuota=50%" in next(f for f in units.unit_files(whole, whole.hosts["af1"]) if "redis" in f.path).text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "{airflow-wroker: {Nice: 1}}",
            "units.airflow-wroker: no service is called so; did you mean 'airflow-worker'?",
        ),
        ("{airflow-worker: {ExecStart: /bin/x}}", "airfleet itself says this"),
        ("{airflow-worker: {User: root}}", "airfleet itself says this"),
        ("{airflow-worker: {TimeoutStopSec: 5}}", "airfleet itself says this"),
        ("{airflow-worker: {memory max: 1}}", "a directive of systemd"),
        ('{airflow-worker: {Nice: "1\\\\"}}', "needs text, a number or true/false"),
        ('{airflow-worker: {Nice: "1\\nUser=root"}}', "needs text, a number or true/false"),
    ],
)
def test_a_directive_that_may_not_be_is_refused(text, problem):
    """Nothing that a restart or the stamp relies on, nothing that could be two lines, nobody who is not there."""
    with pytest.raises(UsageError) as caught:
        with_units(text)
    assert problem in str(caught.value)


@each_service
def test_no_service_leaves_a_core_dump(version, service):
    """It would hold every secret of the process. So it is with Redis."""
    whole = shipped_with(version)
    assert ["0"] == settings_of(rendered(whole, service.name))["LimitCORE"]
    drop_in = next(file for file in units.unit_files(whole, whole.hosts["af1"]) if "redis" in file.path)
    assert ["0"] == settings_of(drop_in.text)["LimitCORE"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="this computer has no systemd-analyze")
@each_service
def test_systemd_itself_rates_every_unit_at_most_2_5(version, service, tmp_path):
    """The scale goes from 0 to 10; a plain worker unit without any of it gets 9.5 UNSAFE."""
    folder = tmp_path / "etc" / "systemd" / "system"
    folder.mkdir(parents=True)
    (folder / service.unit_file).write_text(rendered(shipped_with(version), service.name))
    argv = ["systemd-analyze", "security", "--offline=true", "--threshold=25", f"--root={tmp_path}", service.unit_file]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr), done.stdout.splitlines()[-1]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30))
def test_a_word_of_a_unit_means_nothing_but_itself(value):
    """No specifier, variable, blank or quote in it is systemd's to interpret (systemd.service(5), command lines)."""
    word = units.systemd_word(value)
    inside = word[1:-1].replace('\\"', '"').replace("\\\\", "\\") if word.startswith('"') else word
    assert value == inside.replace("%%", "%").replace("$$", "$")
    assert word.startswith('"') or not set(word) & set(" '\"\\;")


def test_workers_beyond_the_inventory_are_not_wanted():
    """Each host with workers says how many there are at most: what runs beyond is shown by the plan, and stopped."""
    whole = two_hosts()
    for host in whole.hosts.values():
        (beyond,) = units.no_more_instances(whole, host)
        assert ("instances", "airflow-worker@", {}) == (beyond.kind, beyond.key, beyond.state)
        assert beyond.ask == {"beyond": host.celery.instances}
        assert beyond.means["stop_timeout_s"] > host.celery.time_limit_s


@pytest.mark.parametrize("version", ["2.11.2", "3.3.2"])
def test_a_request_holds_the_stop_of_the_pages_for_half_a_minute(version):
    """Twice what was measured is what the next restart is expected to take: it must not outlive the tasks' patience."""
    generation = generation_of(version)
    whole = shipped_with(version)
    stops = {each.name: units.stop_timeout_s(each, whole.hosts["af1"]) for each in generation.services}
    assert stops.pop(generation.web.name) == 30
    assert min(stops.values()) == 90
