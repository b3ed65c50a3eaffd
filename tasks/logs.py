"""Reading what the services and the tasks say, without knowing on which host."""

from __future__ import annotations

from tasks.door import ENV_HELP, ONLY_HELP, command, environment


@command(
    help={
        "env": ENV_HELP,
        "service": "one service: scheduler, dag-processor, triggerer, webserver, worker@2, flower, redis, proxy …"
        " (default: all)",
        "only": ONLY_HELP,
        "since": 'as for journalctl: "1 hour ago" (default), 2h, 10:00 (in your time zone), "2026-11-25 10:00"',
        "lines": "the last N entries of all hosts together; 0 for all of them (default 100)",
        "follow": "go on with what is written from now on, until Ctrl-C",
        "grep": "entries that match this regular expression; one in small letters matches capitals too",
        "json": "print JSON, an object a line",
    }
)
def logs(c, env="", service="", only="", since="1 hour ago", lines=100, follow=False, grep="", json=False):
    """
    Show the journals of the services on all hosts as one, in the order of time, in your time zone.

    Each line begins with time, host and service. Nothing is left out in --follow; lines of different hosts are held
    back for half a second to be put in order. A host that is lost meanwhile is asked again until it is back. One that
    can't be reached at first is named at the end (exit 3).
    """
    import sys

    from airfleet.logs import Form, Wish, show_logs
    from tasks import screen

    wish = Wish(service, only, since, lines, grep, follow)
    form = Form(screen.write, screen.notice, json, sys.stdout.isatty() and not json)
    with screen.piped():
        show_logs(environment(env), wish, form)


@command(
    help={
        "dag": "the DAG, as in the web pages",
        "task": "its task",
        "env": ENV_HELP,
        "run": "its run (default: the latest one in which the task has begun)",
        "try_": "which try, from 1 on (default: the latest)",
        "map_index": "which one of a mapped task",
    },
    positional=["dag", "task"],
)
def task_log(c, dag, task, env="", run="", try_=0, map_index=-1):
    """
    Print the log of a task: fab task-log DAG TASK

    Airflow itself finds it, as for the web pages: with the worker that ran it, or in the bucket. The log goes to
    stdout; a line on stderr says which run and try it is. A wrong name is told the nearest ones (exit 2).
    """
    from airfleet.task_log import Wish, show_task_log
    from tasks import screen

    wish = Wish(dag, task, run, try_, None if map_index == -1 else map_index)
    with screen.piped():
        show_task_log(environment(env), wish, screen.foreign, screen.notice)


@command(
    help={
        "dag": "a DAG that may be run at any time (default: none is run)",
        "task": "its task whose log is waited for",
        "env": ENV_HELP,
        "max_wait": "seconds to wait for the task's end and for its log in the bucket",
    }
)
def verify_logs(c, dag="", task="", env="", max_wait=180):
    """
    See whether task logs reach the bucket: fab verify-logs --dag DAG --task TASK

    Every host writes, reads, lists and deletes a small object there, with the login that its services have: exit 8
    names what is refused, to whom, and the role that is missing. With a DAG, one run of it is asked for, and its log
    has to be read back by Airflow out of the bucket within --max-wait seconds: else exit 9.
    """
    from airfleet.log_trial import verify_logs
    from tasks import screen

    verify_logs(environment(env), dag, task, max_wait_s=max_wait, say=screen.Screen().say)
