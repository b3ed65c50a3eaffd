"""Airflow 2, as data."""

from __future__ import annotations

from airfleet.generations.kinds import (
    CONSTANTS,
    FLOWER,
    PARSERS,
    PLACES,
    POOL,
    TASKS,
    TRIGGER_LOGS,
    WEB_WORKERS,
    WORKER_COMMAND,
    Commands,
    Generation,
    Health,
    Service,
    Tables,
)

AIRFLOW_2 = Generation(
    major=2,
    versions=("2.11.2",),
    services=(
        Service(
            "scheduler",
            "scheduler",
            "Airflow scheduler",
            ("{bin}/airflow", "scheduler"),
            stage="scheduler",
            job="SchedulerJob",
            also=("dag-processor",),
            # Itself, the manager of the parsers, the parsers (one file at a time), and who answers on its health.
            connections=((1, POOL), (1, POOL), (PARSERS, 1), (1, 1)),
        ),
        Service(
            "triggerer",
            "triggerer",
            "Airflow triggerer",
            ("{bin}/airflow", "triggerer", "--skip-serve-logs"),
            stage="scheduler",
            job="TriggererJob",
            connections=((1, POOL),),
        ),
        TRIGGER_LOGS,  # not before it: a triggerer that was started without --skip-serve-logs has its port
        Service(
            "webserver",
            "webserver",
            "Airflow webserver",
            # A pid file under AIRFLOW_HOME outlives a `kill -9` and then keeps the webserver from starting; /run/… is
            # emptied by systemd when the unit stops.
            ("{bin}/airflow", "webserver", "--port", "{web_port}", "--pid", "{run}/webserver.pid"),
            stage="web",
            also=("api-server",),
            # One request at a time, through two engines: Airflow's and Flask's (www/app.py).
            connections=((WEB_WORKERS, 2),),
            web_config=True,
            listens=True,
        ),
        # `airflow celery worker` would bring a log server of its own, once for each instance; plain celery brings none.
        Service(
            "logs",
            "worker",
            "Airflow log server (logs of running tasks)",
            ("{bin}/python", "-m", "airflow.utils.serve_logs"),
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
            connections=((TASKS, 2),),  # the task and who looks after it, neither with a pool (task_command.py)
        ),
        FLOWER,
    ),
    places={
        **PLACES,
        "log_filename_template": ("logging", "log_filename_template"),
        "base_url": ("webserver", "base_url"),
        "web_port": ("webserver", "web_server_port"),
        "web_host": ("webserver", "web_server_host"),
        "proxy_fix": ("webserver", "enable_proxy_fix"),
        "cookie_secure": ("webserver", "cookie_secure"),
        "web_workers": ("webserver", "workers"),
        "timezone": ("webserver", "default_ui_timezone"),
        "secret_key": ("webserver", "secret_key"),
        "web_config": ("webserver", "config_file"),
    },
    constants={
        **CONSTANTS,
        # The note calls its session backend "basic authentication"; it isn't. These two together are what it means.
        ("api", "auth_backends"): (
            "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth,airflow.api.auth.backend.session"
        ),
        # A deploy that restarts nothing brings new files, and Airflow would look for such every five minutes only.
        ("scheduler", "dag_dir_list_interval"): "30",
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
        token_path="",
        allowed_path="",
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
    secrets=(),
    patience=False,
    dagbag="airflow.models.dagbag",
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
