"""What the inventory is made of: a class for each section, a field for each key with its default and its meaning.

Reading it, with every error at once, is in `inventory`. What is `~` or left out in the file has its default here;
defaults that hang on other values are filled in once, by `resolved`.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from airfleet import patterns

AccountName = Annotated[str, Field(pattern=patterns.ACCOUNT)]
Address = Annotated[str, Field(pattern=patterns.ADDRESS)]
DirectiveValue = int | bool | Annotated[str, Field(pattern=patterns.DIRECTIVE_VALUE)]
Directives = dict[Annotated[str, Field(pattern=patterns.DIRECTIVE)], DirectiveValue]
Folder = Annotated[str, Field(pattern=patterns.FOLDER)]
GitUrl = Annotated[str, Field(pattern=patterns.REPOSITORY)]
Line = Annotated[str, Field(pattern=patterns.LINE)]
Login = Annotated[str, Field(pattern=patterns.LOGIN)]
LocalPath = Annotated[Path, Field(strict=False)]
Port = Annotated[int, Field(ge=1, le=65535)]
RedisDb = Annotated[int, Field(ge=0, le=15)]
Revision = Annotated[str, Field(pattern=patterns.REVISION)]
Seconds = Annotated[int, Field(ge=1)]
Setting = Annotated[float, Field(allow_inf_nan=False)] | int | bool | Line
SettingName = Annotated[str, Field(pattern=patterns.SETTING)]


class Section(BaseModel):
    """A part of the inventory: keys that it does not know are errors, and nothing changes it once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, written: object) -> object:
        """A key with `~` has its default, as if it were left out; a section left out is one without keys."""
        if not isinstance(written, dict):
            return written
        sections: dict[str, object] = {key: {} for key, field in cls.model_fields.items() if field.default_factory}
        return sections | {
            key: value for key, value in written.items() if value is not None or key not in cls.model_fields
        }


class Airflow(Section):
    """Which Airflow, on which Python, with which settings."""

    version: Line = Field(default="3.3.2", description="version of Apache Airflow")
    python: Annotated[str, Field(pattern=patterns.PYTHON)] = Field(
        default="3.11.13", description="built by pyenv; `system` takes the distribution's"
    )
    account: AccountName = Field(default="airflow", description="the Unix account that everything runs as")
    home: Folder = Field(default="", description="`AIRFLOW_HOME`; default: `airflow/` in the account's home folder")
    extras: tuple[Annotated[str, Field(pattern=patterns.EXTRA)], ...] = Field(
        default=("celery", "redis", "postgres", "google", "fab"), description="extras of the package `apache-airflow`"
    )
    requirements: tuple[Annotated[str, Field(pattern=patterns.REQUIREMENT)], ...] = Field(
        default=(), description='further packages, as in requirements.txt: `["pandas==2.1.4"]`'
    )
    constraints: Annotated[str, Field(pattern=patterns.LINE, min_length=1)] = Field(
        default="https://raw.githubusercontent.com/apache/airflow/constraints-{version}/constraints-{python}.txt",
        description="URL, or a file beside the inventory; `{version}` is Airflow's, `{python}` is such as 3.11",
    )
    uv_cache: Folder | None = Field(
        default=None, description="folder on the host for downloaded packages; default: the account's own"
    )
    timezone: Annotated[str, Field(pattern=patterns.TIMEZONE)] = Field(
        default="Asia/Seoul", description="of the web pages"
    )
    base_url: Annotated[str, Field(pattern=patterns.BASE_URL)] = Field(
        default="http://airflow.example.com", description="where users find the web pages"
    )
    web_port: Port = Field(default=80, description="below 1024 works: the unit gets just that capability")
    web_workers: Annotated[int, Field(ge=1, le=64)] = Field(default=2, description="processes that serve the web pages")
    config: dict[SettingName, dict[SettingName, Setting]] = Field(
        default={}, description="any other setting of airflow.cfg: `{section: {key: value}}`; unknown keys are refused"
    )

    def resolved(self) -> Self:
        """Return the section with the folder that is meant by no `home`."""
        return self.model_copy(update={"home": self.home or f"{self.account_home}/airflow"})

    @property
    def account_home(self) -> str:
        """The home folder of the account."""
        return f"/home/{self.account}"

    @property
    def python_minor(self) -> str | None:
        """The Python as in `3.11`; None for the distribution's, which only the host knows."""
        return None if self.python == "system" else self.python.rpartition(".")[0]

    @property
    def packages(self) -> tuple[str, ...]:
        """What is asked of the package registry, as lines of a requirements.txt."""
        return (f"apache-airflow[{','.join(self.extras)}]=={self.version}", *self.requirements)

    @property
    def constraints_are_remote(self) -> bool:
        """Whether the constraints are a URL, not a file on the operator's computer."""
        return "://" in self.constraints

    def constraints_for(self, python_minor: str) -> str:
        """Return the URL or absolute path of the constraints for a Python such as `3.11`."""
        return self.constraints.replace("{version}", self.version).replace("{python}", python_minor)


class Pyenv(Section):
    """Where pyenv and the sources of CPython come from."""

    repository: GitUrl = Field(default="https://github.com/pyenv/pyenv.git", description="git repository of pyenv")
    tag: Revision = Field(default="v2.6.12", description="the tag of it that is checked out")
    mirror: Annotated[str, Field(pattern=patterns.URL)] | None = Field(
        default=None,
        description="where CPython's sources are, by checksum (`PYTHON_BUILD_MIRROR_URL`); default: python.org",
    )
    cache: Folder | None = Field(
        default=None, description="folder on the host that keeps built Pythons by digest; default: none"
    )


class Redis(Section):
    """Redis, on the host with the role `redis`, from the distribution's packages."""

    port: Port = Field(default=6379, description="its password is the secret `redis_password`")
    bind: Address = Field(default="", description="default: loopback with one host, else that host's address")
    maxmemory: Annotated[str, Field(pattern=patterns.MEMORY)] = Field(
        default="512mb", description="Redis refuses to take more (`maxmemory`)"
    )
    broker_db: RedisDb = Field(default=0, description="database of the queues")
    rate_limit_db: RedisDb = Field(default=1, description="database of the web pages' rate limit")
    result_db: RedisDb = Field(default=2, description="database of Celery's results")


class Celery(Section):
    """The workers; each key may be overridden for a host."""

    instances: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="`airflow-worker@1` … `@N` on each worker host"
    )
    concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=4, description="tasks that one instance runs at the same time"
    )
    queues: tuple[Annotated[str, Field(pattern=patterns.WORD)], ...] = Field(
        default=("default",), min_length=1, description="queues that the workers take tasks from"
    )
    prefetch_multiplier: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=1, description="messages that a worker takes ahead, for each process"
    )
    acks_late: bool = Field(default=True, description="a message is acknowledged after the task, not before")
    track_started: bool = Field(default=True, description="a task says when it has started")
    send_sent_event: bool = Field(default=True, description="an event is sent when a task is queued, for Flower")
    soft_time_limit_s: Seconds = Field(default=3600, description="a task gets `SoftTimeLimitExceeded`")
    time_limit_s: Seconds = Field(
        default=3600, description="a task is killed; more than the soft limit leaves it time to clean up"
    )


class Flower(Section):
    """The page that shows Celery; always behind a login."""

    port: Port = Field(default=5555, description="port of the page")
    bind: Address = Field(default="127.0.0.1", description="reach it by `ssh -L 5555:127.0.0.1:5555 HOST`")
    user: Login = Field(default="admin", description="its password is the secret `flower_password`")
    max_tasks: Annotated[int, Field(ge=1)] = Field(
        default=10_000, description="how many of the latest tasks it remembers, 10 KB of memory each"
    )


class Logging(Section):
    """Where the logs of tasks go, and how they look."""

    bucket: Annotated[str, Field(pattern=patterns.BUCKET)] | None = Field(
        default=None, description="Cloud Storage bucket of task logs; `~` keeps them on the hosts"
    )
    prefix: Annotated[str, Field(pattern=patterns.PREFIX)] = Field(default="logs", description="folder in the bucket")
    emulator: Annotated[str, Field(pattern=patterns.URL)] | None = Field(
        default=None, description="for trials: an emulator of Cloud Storage, asked in place of Google, without a login"
    )
    connection: Annotated[str, Field(pattern=patterns.WORD)] = Field(
        default="gcs_logs", description="Airflow connection that reads and writes the bucket"
    )
    delete_local: bool = Field(default=True, description="logs are deleted on the host after the upload")
    filename_template: Line = Field(
        default="{{ ti.dag_id }}/{{ ti.task_id }}/{{ ts }}/{{ ti.try_number }}.log",
        description="Airflow's own Jinja, written as it is",
    )
    format: Line = Field(
        default="%(asctime)s - %(name)s - %(levelname)s - %(message)s", description="of a line in a task's log"
    )
    simple_format: Line = Field(
        default="%(asctime)s - %(name)s - %(levelname)s - %(message)s", description="of a line in other logs"
    )


class Dags(Section):
    """The git repository of the DAGs."""

    repository: GitUrl = Field(description="git repository; for ssh its private key is the secret `deploy_key`")
    branch: Revision = Field(default="main", description="what `fab deploy` takes when it is not told otherwise")
    folder: Annotated[str, Field(pattern=patterns.RELATIVE)] = Field(
        default="dags", description="inside the repository; `.` for its root"
    )
    known_hosts: Annotated[str, Field(pattern=patterns.LINES)] | None = Field(
        default=None, description="the git server's host key lines, as ssh-keyscan prints them"
    )
    requirements: Annotated[str, Field(pattern=patterns.RELATIVE)] | None = Field(
        default=None,
        description="requirements file in the repository; a deploy that changes it makes a new environment",
    )
    plugins: Annotated[str, Field(pattern=patterns.RELATIVE)] | None = Field(
        default=None, description="Airflow plugins in the repository; `~`: `plugins/` in AIRFLOW_HOME"
    )
    parse_timeout_s: Seconds = Field(
        default=120, description="`fab deploy` refuses a release whose DAGs take longer to parse"
    )
    keep: Annotated[int, Field(ge=2, le=1000)] = Field(default=5, description="releases that stay on each host")

    @property
    def needs_key(self) -> bool:
        """Whether the repository is reached by ssh, so that a deploy key is needed."""
        return self.repository.startswith("ssh://") or "://" not in self.repository


class Admin(Section):
    """The first user of the web pages; the password is shown once, when it is made."""

    username: Login = Field(default="admin", description="login name")
    firstname: Line = Field(default="Air", description="first name")
    lastname: Line = Field(default="Flow", description="last name")
    email: Annotated[str, Field(pattern=patterns.EMAIL)] = Field(
        default="admin@example.com", description="e-mail address"
    )
