"""Airflow 3, as data."""

from __future__ import annotations

from airfleet.generations.airflow2 import AIRFLOW_2
from airfleet.generations.kinds import (
    CONSTANTS,
    FLOWER,
    PLACES,
    POOL,
    TRIGGER_LOGS,
    WEB_WORKERS,
    WORKER_COMMAND,
    Commands,
    Generation,
    Health,
    Service,
    Tables,
)

FAB = "airflow.providers.fab.auth_manager"

AIRFLOW_3 = Generation(
    major=3,
    versions=("3.3.2",),
    services=(
        # First: tasks talk to it all the while they run, and so does what the scheduler hands out.
        Service(
            "api-server",
            "webserver",
            "Airflow API server and web pages",
            ("{bin}/airflow", "api-server", "{proxied}"),
            stage="web",
            also=("webserver",),
            web_config=True,
            listens=True,
            connections=((WEB_WORKERS, POOL),),
        ),
        Service(
            "scheduler",
            "scheduler",
            "Airflow scheduler",
            ("{bin}/airflow", "scheduler"),
            stage="scheduler",
            job="SchedulerJob",
            connections=((1, POOL), (1, 1)),  # the second answers on its health
        ),
        # The scheduler reads no DAG file any more: without this nothing new is ever seen.
        Service(
            "dag-processor",
            "scheduler",
            "Airflow DAG processor",
            ("{bin}/airflow", "dag-processor"),
            stage="scheduler",
            job="DagProcessorJob",
            connections=((1, POOL),),  # the parsers ask it
            supervises=True,
        ),
        Service(
            "triggerer",
            "triggerer",
            "Airflow triggerer",
            ("{bin}/airflow", "triggerer", "--skip-serve-logs"),
            stage="scheduler",
            job="TriggererJob",
            connections=((1, POOL),),
            supervises=True,
        ),
        TRIGGER_LOGS,  # not before it: a triggerer that was started without --skip-serve-logs has its port
        Service(
            "logs",
            "worker",
            "Airflow log server (logs of running tasks)",
            ("{bin}/python", "-m", "airflow.utils.serve_logs.core"),
            stage="workers",
            reads_dags=False,
            shows_logs=True,
        ),
        Service(
            "worker",
            "worker",
            "Airflow Celery worker %i",
            WORKER_COMMAND,
            stage="workers",
            instances=True,
            drains=True,
            supervises=True,
            calls_api=True,  # the triggerer and the DAG processor have an API of their own, in their process
        ),
        FLOWER,
    ),
    places={
        **PLACES,
        # Airflow would make it of the other one, with `sslmode` in it: a word that asyncpg refuses.
        "database_url_async": ("database", "sql_alchemy_conn_async"),
        "execution_api_url": ("core", "execution_api_server_url"),
        # Without `log_filename_template`: the note's names its files by `ts`, which is empty for runs that somebody
        # starts by hand, so that all of them would write into one file.
        "base_url": ("api", "base_url"),
        "web_port": ("api", "port"),
        "web_host": ("api", "host"),
        "proxy_fix": ("fab", "enable_proxy_fix"),
        "cookie_secure": ("fab", "cookie_secure"),
        "web_workers": ("api", "workers"),
        "secret_key": ("api", "secret_key"),
        "jwt_secret": ("api_auth", "jwt_secret"),
        "web_config": ("fab", "config_file"),
        # Without a time zone: each user's browser chooses it.
    },
    constants={
        **CONSTANTS,
        # Before the first `db migrate`: that makes the tables of this auth manager and of no other.
        ("core", "auth_manager"): f"{FAB}.fab_auth_manager.FabAuthManager",
        ("dag_processor", "refresh_interval"): "30",
        # The note calls its session backend "basic authentication"; it isn't. These two together are what it means.
        ("fab", "auth_backends"): f"{FAB}.api.auth.backend.basic_auth,{FAB}.api.auth.backend.session",
        # A task that does not reach the API server is ended after three heartbeats, unless it is told to be patient.
        # All three are needed: with the first alone, a task did not outlive an outage of a minute.
        ("workers", "max_failed_heartbeats"): "60",
        ("workers", "execution_api_retries"): "40",
        ("workers", "execution_api_retry_wait_max"): "10",
        # A task's token is renewed in the last fifth of its life: with Airflow's 600 s an outage of two minutes could
        # outlast it.
        ("execution_api", "jwt_expiration_time"): "3600",
    },
    commands=Commands(
        migrate=AIRFLOW_2.commands.migrate,
        check_migrations=AIRFLOW_2.commands.check_migrations,
        create_user=AIRFLOW_2.commands.create_user,
        reset_password=AIRFLOW_2.commands.reset_password,
        delete_user=AIRFLOW_2.commands.delete_user,
        list_users=AIRFLOW_2.commands.list_users,
        reset_keeps_sessions=True,
    ),
    health=Health(
        web_path="/api/v2/monitor/health",
        login_path="/auth/login/",
        token_path="/auth/token",  # noqa: S106  # an address
        allowed_path="/api/v2/dags?limit=1",
        scheduler_url="http://127.0.0.1:8974/health",
        log_port=8793,
        trigger_log_port=8794,
    ),
    tables=Tables(
        active_dag="not is_stale",
        silent="extract(epoch from now() - t.last_heartbeat_at)",
        silent_join="",
        pause_events=("paused", "patch_dag", "cli_dag_pause", "cli_dag_unpause"),
    ),
    secrets=("jwt_secret",),
    patience=True,
    dagbag="airflow.dag_processing.dagbag",
    task_log="inside_tasklog3",
    open_sections=AIRFLOW_2.open_sections,
    # Read by its code (each `conf.get…` of 3.3.2 and of its providers was looked through), yet in no catalogue.
    undocumented=frozenset(
        {
            ("celery", "broker_connection_retry_on_startup"),
            ("core", "dbapihook_resolve_target_fields"),
            ("debug", "sqlalchemy_stats"),
            ("openlineage", "spark_inject_parent_job_info"),
            ("openlineage", "spark_inject_transport_info"),
            ("webserver", "log_request_clock_grace"),
        }
    ),
    hints={
        ("logging", "remote_log_folder"): "[logging] remote_base_log_folder",
        ("webserver", "rate_limit_storage_uri"): "RATELIMIT_STORAGE_URI in webserver_config.py",
        ("webserver", "default_ui_timezone"): "nothing: each user's browser chooses the time zone",
        ("api", "auth_backends"): "[fab] auth_backends",
    },
)
