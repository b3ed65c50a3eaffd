"""What a generation of Airflow is made of: its services, the places of its settings, its commands, its addresses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Place = tuple[str, str]
POOL, WEB_WORKERS, PARSERS, TASKS = "a pool", "web workers", "parsers", "tasks"


@dataclass(frozen=True, slots=True)
class Service:
    """One service: the hosts that have `role` run it, with this command.

    The words of `command` may hold {bin}, {run}, {web_port}, {queues}, {concurrency}, {proxied} (a flag
    or nothing), and systemd's own specifiers.
    `stage` is the stage of a bootstrap or deploy that restarts it, `job` the type of the job whose heartbeat it writes
    into the database. `instances` says that the unit is a template, run N times a host; `drains` that a stop waits for
    the running tasks; `listens` that it binds the web port, which may need a capability; `supervises` that it looks
    after children that hide from others; `calls_api` that its tasks speak to the web port; `shows_logs` that it
    has a port where the web pages ask for logs. `also` are names of other generations for what this service does: an
    operator's fingers, and a runbook, need not know which one is there.
    `connections` are those to the metadata database, as (number of processes, of each): see airfleet.connections.
    """

    name: str
    role: str
    title: str
    command: tuple[str, ...]
    stage: str
    job: str = ""
    web_config: bool = False
    reads_dags: bool = True
    instances: bool = False
    drains: bool = False
    listens: bool = False
    supervises: bool = False
    calls_api: bool = False
    shows_logs: bool = False
    also: tuple[str, ...] = ()
    connections: tuple[tuple[str | int, str | int], ...] = ()

    def is_called(self, name: str) -> bool:
        """Tell whether this is the service that an operator means by a name."""
        return name == self.name or name in self.also

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
    rotate_fernet_key: tuple[str, ...] = ("rotate-fernet-key",)
    reset_environment: Mapping[str, str] = field(default_factory=dict)
    reset_keeps_sessions: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """Where a service says how it is. The paths of the web pages, and addresses on the host itself.

    With `token_path` a login is tried there, as a program logs in, and then at `allowed_path`, which wants one; without
    it by the form at `login_path`.
    """

    web_path: str
    login_path: str
    token_path: str
    allowed_path: str
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
    """One generation of Airflow.

    `secrets` are the generated secrets that only it needs; `patience` says that running tasks end when the web service
    is away for long, and that workers leave what they have read about that (see airfleet.patience). `dagbag` is the
    module of its parser, `task_log` the agent's program that reads a task's log as this one does.
    """

    major: int
    versions: tuple[str, ...]
    services: tuple[Service, ...]
    places: Mapping[str, Place]
    constants: Mapping[Place, str]
    commands: Commands
    health: Health
    tables: Tables
    secrets: tuple[str, ...]
    patience: bool
    dagbag: str
    task_log: str
    open_sections: frozenset[str]
    undocumented: frozenset[Place]
    hints: Mapping[Place, str]

    def services_of(self, roles: frozenset[str] | set[str]) -> tuple[Service, ...]:
        """Return the services of a host with these roles, in the order in which they are started."""
        return tuple(service for service in self.services if service.role in roles)

    def service(self, name: str) -> Service:
        """Return the service that is called so."""
        return next(service for service in self.services if service.is_called(name))

    @property
    def web(self) -> Service:
        """The service that serves the web pages."""
        return next(service for service in self.services if service.listens)


WORKER_COMMAND = (
    *("{bin}/celery", "-A", "airflow.providers.celery.executors.celery_executor.app", "worker", "--loglevel", "INFO"),
    *("-E", "--hostname", "worker%i@%H", "--queues", "{queues}", "-O", "fair", "--concurrency", "{concurrency}"),
)

# What the generations have in common.
TRIGGER_LOGS = Service(
    "trigger-logs",
    "triggerer",
    "Airflow log server (logs of the triggerer)",
    # What a triggerer without --skip-serve-logs does beside its work, by the same setting (triggerer_command.py). Apart
    # from it, because nobody but readers of logs may come here, and triggers must get everywhere.
    (
        "{bin}/python",
        "-c",
        "'from airflow.configuration import conf; from airflow.utils.serve_logs import serve_logs;"
        ' serve_logs(conf.getint("logging", "trigger_log_server_port", fallback=8794))\'',
    ),
    stage="scheduler",
    reads_dags=False,
    shows_logs=True,
)
FLOWER = Service(
    "flower",
    "flower",
    "Flower (Celery's monitor)",
    ("{bin}/airflow", "celery", "flower"),
    stage="flower",
    reads_dags=False,
)
PLACES: Mapping[str, Place] = {
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
    "log_format": ("logging", "log_format"),
    "simple_log_format": ("logging", "simple_log_format"),
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
}
CONSTANTS: Mapping[Place, str] = {
    ("core", "executor"): "CeleryExecutor",
    ("core", "load_examples"): "False",
    # Four times in a row longer than this, and a task that Redis has not taken has failed. Airflow gives a second.
    ("celery", "operation_timeout"): "5",
    ("scheduler", "enable_health_check"): "True",
    # It has no login, and only probes on the host itself ask it.
    ("scheduler", "scheduler_health_check_server_host"): "127.0.0.1",
}
