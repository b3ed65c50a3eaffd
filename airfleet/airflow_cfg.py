"""The texts of airflow.cfg, the environment and webserver_config.py, from the inventory and the secrets."""

from __future__ import annotations

import json
import re
from configparser import ConfigParser, Error
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airfleet import log_servers, tls_proxy
from airfleet.errors import UsageError
from airfleet.generations import generation_of
from airfleet.layout import layout_of
from airfleet.redis_conf import redis_url
from airfleet.templates import fill

if TYPE_CHECKING:
    from airfleet.inventory import Host, Inventory
    from airfleet.secrets import Secrets

Settings = dict[str, dict[str, str]]

SECTIONS_FIRST = ("core", "database", "logging", "api", "api_auth", "webserver", "scheduler", "workers", "celery")
AIRFLOWS_VISIBILITY_S = 86_400
EXPANDED = re.compile(r"^~|\$(\w|\{)")
PATH = "/usr/local/bin:/usr/bin:/bin"
EMULATED_PROJECT = "airfleet"  # an emulator takes any


def settings(inventory: Inventory, host: Host, secrets: Secrets) -> Settings:
    """Return every setting of this host's airflow.cfg, as {section: {key: value}}; the inventory's overrides come last.

    Values are as Airflow should see them: nothing is quoted for the file yet.
    """
    generation = generation_of(inventory.airflow.version)
    wanted: Settings = {}
    for (section, key), constant in generation.constants.items():
        wanted.setdefault(section, {})[key] = constant
    for meaning, value in _meant(inventory, host, secrets).items():
        if place := generation.places.get(meaning):
            wanted.setdefault(place[0], {})[place[1]] = _word(value)
    for section, options in inventory.airflow.config.items():
        for key, override in options.items():
            wanted.setdefault(section.lower(), {})[key.lower()] = _word(override)
    return wanted


def _meant(inventory: Inventory, host: Host, secrets: Secrets) -> dict[str, object]:
    layout = layout_of(inventory)
    airflow, celery, redis = inventory.airflow, host.celery, inventory.redis
    password = secrets.redis_password.reveal()
    meant: dict[str, object] = {
        "dags_folder": layout.dags_folder(inventory.dags.folder),
        "plugins_folder": f"{layout.current}/{inventory.dags.plugins}" if inventory.dags.plugins else layout.plugins,
        "fernet_key": _literal(secrets.fernet_key.reveal(), "fernet_key"),
        "database_url": database_url(inventory, secrets),
        "database_url_async": _database_url_async(inventory, secrets),
        "hostname_callable": "airfleet_host.address",
        "base_log_folder": layout.logs,
        "remote_logging": bool(inventory.logging.bucket),
        "log_filename_template": inventory.logging.filename_template,
        "log_format": inventory.logging.format,
        "simple_log_format": inventory.logging.simple_format,
        "base_url": airflow.base_url,
        "web_port": airflow.web_port,
        "web_workers": airflow.web_workers,
        "timezone": airflow.timezone,
        "secret_key": _literal(secrets.webserver_secret_key.reveal(), "webserver_secret_key"),
        "web_config": layout.webserver_config,
        "broker_url": redis_url(inventory, password, redis.broker_db),
        "result_backend": redis_url(inventory, password, redis.result_db),
        "worker_concurrency": celery.concurrency,
        "worker_prefetch_multiplier": celery.prefetch_multiplier,
        "task_acks_late": celery.acks_late,
        "task_track_started": celery.track_started,
        "extra_celery_config": json.dumps(
            {
                "task_send_sent_event": celery.send_sent_event,
                "task_soft_time_limit": celery.soft_time_limit_s,
                "task_time_limit": celery.time_limit_s,
            }
        ),
        "visibility_timeout": _visibility_timeout_s(inventory),
        "flower_host": inventory.flower.bind,
        "flower_port": inventory.flower.port,
        "flower_basic_auth": f"{inventory.flower.user}:{_flower_password(secrets)}",
    }
    if "jwt_secret" in generation_of(inventory.airflow.version).secrets:
        meant["jwt_secret"] = _literal(secrets["jwt_secret"].reveal(), "jwt_secret")
        meant["execution_api_url"] = execution_api_url(inventory, host)
    if inventory.logging.bucket:
        meant |= {
            "remote_base_log_folder": f"gs://{inventory.logging.bucket}/{inventory.logging.prefix}".rstrip("/"),
            "remote_log_conn_id": inventory.logging.connection,
            "delete_local_logs": inventory.logging.delete_local,
        }
    if tls_proxy.public(inventory).scheme == "https":
        meant |= {"proxy_fix": True, "cookie_secure": True}
    if inventory.with_role("proxy") and "webserver" in host.roles:
        meant["web_host"] = tls_proxy.web_host(inventory, host)
    return meant


def execution_api_url(inventory: Inventory, host: Host) -> str:
    """Return where the tasks of a host reach Airflow 3's API server.

    On a host that runs one: there. Elsewhere: the only one; of several, what stands before them all, the `base_url`.
    """
    servers = inventory.with_role("webserver")
    if "webserver" not in host.roles and len(servers) > 1:
        return f"{inventory.airflow.base_url.rstrip('/')}/execution/"
    address = "127.0.0.1" if "webserver" in host.roles else inventory.hosts[servers[0]].address
    address = f"[{address}]" if ":" in address else address
    return f"http://{address}:{inventory.airflow.web_port}/execution/"


def render_cfg(settings: Settings) -> str:
    """Return the text of airflow.cfg: `%` doubled, sections and keys in a fixed order.

    Raises UsageError for a value that such a file can't hold, as one with a blank at its end.
    """
    names = [name for name in SECTIONS_FIRST if name in settings]
    names += sorted(set(settings) - set(names))
    sections = {
        name: {key: settings[name][key].replace("%", "%%").replace("\n", "\n    ") for key in sorted(settings[name])}
        for name in names
    }
    text = fill("airflow.cfg.j2", sections=sections)
    _check_readable(text, settings)
    return text


def _check_readable(text: str, settings: Settings) -> None:
    parser = ConfigParser()
    try:
        parser.read_string(text)
    except Error as e:
        # The parser's own words would show the line, and with it a secret.
        problem = f"a section, key or value can't be written to airflow.cfg ({type(e).__name__})"
        raise UsageError(problem, place="airflow.config") from None
    for section, options in settings.items():
        for key, value in options.items():
            if parser.get(section, key, fallback=None) != value:
                raise UsageError(
                    "airflow.cfg can't hold this value",
                    place=f"airflow.config.{section}.{key}",
                    remedy="no blanks at its ends, no empty lines and no line that begins with # or ;",
                )


def render_host_module(inventory: Inventory, host: Host) -> str:
    """Return the module that tells Airflow under which address the log servers of this host are reached.

    Without DNS, neither of Airflow's own ways works between hosts: a bare host name does not resolve elsewhere, and
    `get_host_ip_address` finds 127.0.1.1 in Debian's /etc/hosts. The inventory's address is what all others use.
    """
    address = log_servers.address(inventory, host)
    address = f"[{address}]" if ":" in address else address
    return fill("airfleet_host.py.j2", address=repr(address))


def render_webserver_config(inventory: Inventory, secrets: Secrets) -> str:
    """Return webserver_config.py: logins from Airflow's own database, the count of login attempts in Redis."""
    url = redis_url(inventory, secrets.redis_password.reveal(), inventory.redis.rate_limit_db)
    return fill("webserver_config.py.j2", rate_limit_storage_uri=repr(url))


def render_environment(inventory: Inventory) -> str:
    """Return the EnvironmentFile of the services; shells and Python's shlex read it alike."""
    values = environment(inventory)
    return fill("environment.j2", lines=[f"{name}={environment_value(value)}" for name, value in values.items()])


def environment(inventory: Inventory) -> dict[str, str]:
    """Return the variables that every Airflow process is started with."""
    layout = layout_of(inventory)
    values = {
        "AIRFLOW_HOME": layout.home,
        "AIRFLOW_CONFIG": layout.config,
        "PATH": f"{layout.bin}:{PATH}",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "FLOWER_MAX_TASKS": str(inventory.flower.max_tasks),  # `airflow celery flower` has no option for it
    }
    if tls_proxy.public(inventory).scheme == "https":
        values["FORWARDED_ALLOW_IPS"] = tls_proxy.trusted(inventory)
    if inventory.logging.bucket:
        # Without a key file: the machine's own service account, as Google's libraries find it.
        connection = inventory.logging.connection
        if not re.fullmatch(r"[A-Za-z0-9_]+", connection):
            problem = f"{connection!r} can't be the name of a variable, which is how the services are told of it"
            raise UsageError(problem, place="logging.connection", remedy="use letters, digits and _")
        words: dict[str, object] = {"conn_type": "google_cloud_platform"}
        if inventory.logging.emulator:
            words["extra"] = {"is_anonymous": True, "project": EMULATED_PROJECT}
        values[f"AIRFLOW_CONN_{connection.upper()}"] = json.dumps(words)
        values |= storage_environment(inventory)
    return values


def storage_environment(inventory: Inventory) -> dict[str, str]:
    """Return the variables by which Google's libraries find Cloud Storage where it is not Google's own."""
    return {"STORAGE_EMULATOR_HOST": inventory.logging.emulator} if inventory.logging.emulator else {}


def environment_value(value: str) -> str:
    """Return the value as it stands in an EnvironmentFile: in single quotes unless it is plainly harmless.

    systemd takes a backslash in single quotes as it is, like a shell (systemd.exec(5), EnvironmentFile=).
    """
    if any(ord(c) < ord(" ") and c not in "\t\n" for c in value) or "\x7f" in value:
        raise UsageError(
            "a value has a control character, which systemd refuses in an environment", place="environment"
        )
    if re.fullmatch(r"[A-Za-z0-9_./:@,+=-]+", value):
        return value
    return "'" + value.replace("'", "'\"'\"'") + "'"


def database_url(inventory: Inventory, secrets: Secrets) -> str:
    """Return SQLAlchemy's URL of the metadata database; a host that doesn't answer is given up after 10 s."""
    root = f"&sslrootcert={quote(layout_of(inventory).database_ca)}" if inventory.database.authority else ""
    options = f"sslmode={inventory.database.sslmode}&connect_timeout=10{root}"
    return f"postgresql+psycopg2://{_database_place(inventory, secrets)}?{options}"


def _database_url_async(inventory: Inventory, secrets: Secrets) -> str:
    return f"postgresql+asyncpg://{_database_place(inventory, secrets)}?ssl={inventory.database.sslmode}"


def _database_place(inventory: Inventory, secrets: Secrets) -> str:
    database = inventory.database
    login = f"{quote(database.user, safe='')}:{quote(secrets.database_password.reveal(), safe='')}"
    host = f"[{database.host}]" if ":" in database.host else database.host
    return f"{login}@{host}:{database.port}/{database.name}"


def _visibility_timeout_s(inventory: Inventory) -> int:
    # A message that isn't acknowledged within this time runs a second time. It may wait for a task as long as the limit
    # allows and then run as long itself; and Airflow's own day is never made shorter.
    longest = max(host.celery.time_limit_s for host in inventory.hosts.values())
    return max(AIRFLOWS_VISIBILITY_S, 2 * longest + 600)


def _flower_password(secrets: Secrets) -> str:
    password = _literal(secrets.flower_password.reveal(), "flower_password")
    if "," in password or not password.isascii():
        # Tornado splits the logins at commas, and compares only ASCII.
        raise UsageError("Flower can't take a comma or a letter beyond ASCII", place="secrets.flower_password")
    return password


def _literal(value: str, name: str) -> str:
    if EXPANDED.search(value):
        # Airflow runs os.path.expandvars and expanduser over every value of its file, and has no way to quote them.
        raise UsageError("Airflow would expand `$` or a leading `~` in it", place=f"secrets.{name}")
    return value


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
