"""What differs between the generations of Airflow, as data; nowhere else does anybody ask for the version.

A generation is its services, the places of its settings, its commands and its health addresses. The rest of airfleet
speaks of meanings ("secret_key") and services ("webserver") and looks them up here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airfleet.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Place = tuple[str, str]

PRIVILEGED_PORTS = 1024


@dataclass(frozen=True, slots=True)
class Service:
    """One service: the hosts that have `role` run it, with this command.

    The words of `command` may hold {bin}, {run}, {web_port}, {queues} and {concurrency}, and systemd's own specifiers.
    `instances` says that the unit is a template, run N times a host; `drains` that a stop waits for the running tasks;
    `listens` that it binds the web port, which may need a capability; `calls_api` that its tasks speak to that port.
    """

    name: str
    role: str
    title: str
    command: tuple[str, ...]
    web_config: bool = False
    reads_dags: bool = True
    instances: bool = False
    drains: bool = False
    listens: bool = False
    calls_api: bool = False

    @property
    def unit_file(self) -> str:
        """The name of the unit's file."""
        return f"airflow-{self.name}@.service" if self.instances else f"airflow-{self.name}.service"

    def unit(self, instance: int = 0) -> str:
        """Return the name of the unit, or of one instance of it."""
        return f"airflow-{self.name}@{instance}.service" if self.instances else self.unit_file


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type after `airflow`; the words may hold {username} and so on, never a password.

    `reset_keeps_sessions` says that who is logged in stays so when the password is reset.
    """

    migrate: tuple[str, ...]
    check_migrations: tuple[str, ...]
    create_user: tuple[str, ...]
    reset_password: tuple[str, ...]
    delete_user: tuple[str, ...]
    list_users: tuple[str, ...]
    reset_environment: Mapping[str, str] = field(default_factory=dict)
    reset_keeps_sessions: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Where a service says how it is. The path of the web pages, and addresses on the host itself."""

    web_path: str
    login_path: str
    scheduler_url: str
    log_port: int
    trigger_log_port: int


@dataclass(frozen=True, slots=True)
class Tables:
    """What the metadata database calls things, as SQL: `t` is a task instance, `silent` its seconds without a sign.

    `pause_events` are the lines of the audit log by which somebody pauses or unpauses one DAG: the web page, the API,
    the command line, and the scheduler after too many failures.
    """

    active_dag: str
    silent: str
    silent_join: str
    pause_events: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of Airflow; `task_log` is the agent's program that reads a task's log as this one does."""

    major: int
    versions: tuple[str, ...]
    services: tuple[Service, ...]
    places: Mapping[str, Place]
    constants: Mapping[Place, str]
    commands: Commands
    health: Health
    tables: Tables
    task_log: str
    open_sections: frozenset[str]
    undocumented: frozenset[Place]
    hints: Mapping[Place, str]

    def services_of(self, roles: frozenset[str] | set[str]) -> tuple[Service, ...]:
        """Return the services of a host with these roles, in the order in which they are started."""
        return tuple(service for service in self.services if service.role in roles)

    def service(self, name: str) -> Service:
        """Return the service with this name."""
        return next(service for service in self.services if service.name == name)


WORKER_COMMAND = (
    "{bin}/celery -A airflow.providers.celery.executors.celery_executor.app worker --loglevel INFO -E"
    " --hostname worker%i@%H --queues {queues} -O fair --concurrency {concurrency}"
)

AIRFLOW_2 = Generation(
    major=2,
    versions=("2.11.2",),
    services=(
        Service("scheduler", "scheduler", "Airflow scheduler", ("{bin}/airflow", "scheduler")),
        Service("triggerer", "triggerer", "Airflow triggerer", ("{bin}/airflow", "triggerer")),
        Service(
            "webserver",
            "webserver",
            "Airflow webserver",
            # A pid file under AIRFLOW_HOME outlives a `kill -9` and then keeps the webserver from starting; /run/… is
            # emptied by systemd when the unit stops.
            ("{bin}/airflow", "webserver", "--port", "{web_port}", "--pid", "{run}/webserver.pid"),
            web_config=True,
            listens=True,
        ),
        # `airflow celery worker` would bring a log server of its own, once for each instance; plain celery brings none.
        Service(
            "logs",
            "worker",
            "Airflow log server (logs of running tasks)",
            ("{bin}/python", "-m", "airflow.utils.serve_logs"),
            reads_dags=False,
        ),
        Service(
            "worker",
            "worker",
            "Airflow Celery worker %i",
            tuple(WORKER_COMMAND.split()),
            instances=True,
            drains=True,
        ),
        Service(
            "flower", "flower", "Flower (Celery's monitor)", ("{bin}/airflow", "celery", "flower"), reads_dags=False
        ),
    ),
    places={
        "dags_folder": ("core", "dags_folder"),
        "plugins_folder": ("core", "plugins_folder"),
        "fernet_key": ("core", "fernet_key"),
        "hostname_callable": ("core", "hostname_callable"),
        "database_url": ("database", "sql_alchemy_conn"),
        "base_log_folder": ("logging", "base_log_folder"),
        "remote_logging": ("logging", "remote_logging"),
        "remote_base_log_folder": ("logging", "remote_base_log_folder"),
        "remote_log_conn_id": ("logging", "remote_log_conn_id"),
        "delete_local_logs": ("logging", "delete_local_logs"),
        "log_filename_template": ("logging", "log_filename_template"),
        "log_format": ("logging", "log_format"),
        "simple_log_format": ("logging", "simple_log_format"),
        "base_url": ("webserver", "base_url"),
        "web_port": ("webserver", "web_server_port"),
        "web_workers": ("webserver", "workers"),
        "timezone": ("webserver", "default_ui_timezone"),
        "secret_key": ("webserver", "secret_key"),
        "web_config": ("webserver", "config_file"),
        "broker_url": ("celery", "broker_url"),
        "result_backend": ("celery", "result_backend"),
        "worker_concurrency": ("celery", "worker_concurrency"),
        "worker_prefetch_multiplier": ("celery", "worker_prefetch_multiplier"),
        "task_acks_late": ("celery", "task_acks_late"),
        "task_track_started": ("celery", "task_track_started"),
        "extra_celery_config": ("celery", "extra_celery_config"),
        "flower_host": ("celery", "flower_host"),
        "flower_port": ("celery", "flower_port"),
        "flower_basic_auth": ("celery", "flower_basic_auth"),
        "visibility_timeout": ("celery_broker_transport_options", "visibility_timeout"),
    },
    constants={
        ("core", "executor"): "CeleryExecutor",
        ("core", "load_examples"): "False",
        # The note calls its session backend "basic authentication"; it isn't. These two together are what it means.
        ("api", "auth_backends"): (
            "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,airflow.api.auth.backend.session"
        ),
        ("scheduler", "enable_health_check"): "True",
        # A deploy that restarts nothing brings new files, and Airflow would look for such every five minutes only.
        ("scheduler", "dag_dir_list_interval"): "30",
        # It has no login, and only probes on the host itself ask it.
        ("scheduler", "scheduler_health_check_server_host"): "127.0.0.1",
    },
    commands=Commands(
        migrate=("db", "migrate"),
        check_migrations=("db", "check-migrations", "--migration-wait-timeout", "0"),
        # With `=`, a value that begins with a dash is no option.
        create_user=(
            *("users", "create", "--username={username}", "--firstname={firstname}", "--lastname={lastname}"),
            *("--role={role}", "--email={email}"),
        ),
        reset_password=("users", "reset-password", "--username={username}"),
        delete_user=("users", "delete", "--username={username}"),
        list_users=("users", "list", "--output", "json"),
        # `users reset-password` of 2.11.2 crashes with the session store in the database.
        reset_environment={"AIRFLOW__WEBSERVER__SESSION_BACKEND": "securecookie"},
        reset_keeps_sessions=True,
    ),
    health=Health(
        web_path="/health",
        login_path="/login/",
        scheduler_url="http://127.0.0.1:8974/health",
        log_port=8793,
        trigger_log_port=8794,
    ),
    tables=Tables(
        active_dag="is_active",
        silent="extract(epoch from now() - j.latest_heartbeat)",
        silent_join="join job j on j.id = t.job_id",
        pause_events=("paused", "api.patch_dag", "ui.patch_dag", "cli_dag_pause", "cli_dag_unpause"),
    ),
    task_log="inside_tasklog",
    # Celery's transports and Sentry's client take any key of these sections.
    open_sections=frozenset({"celery_broker_transport_options", "celery_result_backend_transport_options", "sentry"}),
    # Read by its code (each `conf.get…` of 2.11.2 and of its providers was looked through), yet in no catalogue.
    undocumented=frozenset(
        {
            ("celery", "broker_connection_retry_on_startup"),
            ("celery", "worker_precheck"),
            ("core", "dbapihook_resolve_target_fields"),
            ("core", "internal_api_clock_grace"),
            ("debug", "sqlalchemy_stats"),
            ("logging", "disable_trigger_handler_queue_listener"),
            ("logging", "disable_trigger_handler_wrapper"),
            ("logging", "donot_modify_handlers"),
            ("scheduler", "dependency_detector"),
            ("scheduler", "num_stuck_in_queued_retries"),
            ("traces", "tags"),
            ("webserver", "dag_dependencies_refresh_interval"),
            ("webserver", "log_request_clock_grace"),
        }
    ),
    hints={
        ("logging", "remote_log_folder"): "[logging] remote_base_log_folder",
        ("webserver", "rate_limit_storage_uri"): "RATELIMIT_STORAGE_URI in webserver_config.py",
    },
)

GENERATIONS = (AIRFLOW_2,)


def filled(command: tuple[str, ...], **values: str) -> list[str]:
    """Return the words of a command with its values in them."""
    return [word.format(**values) for word in command]


def generation_of(version: str) -> Generation:
    """Return the generation of this version of Airflow; UsageError for one that airfleet was never tried with."""
    for generation in GENERATIONS:
        if version in generation.versions:
            return generation
    known = ", ".join(version for generation in GENERATIONS for version in generation.versions)
    raise UsageError(
        f"airfleet does not know Airflow {version}", place="airflow.version", remedy=f"use one of: {known}"
    )
