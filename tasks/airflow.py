"""Airflow's own commands, and a shell, on the hosts: as the account, in the environment of its units."""

from __future__ import annotations

from invoke.exceptions import Exit

from tasks.door import ENV_HELP, command, environment


@command(
    help={
        "words": 'what would follow `airflow`, in quotes: "dags list"',
        "env": ENV_HELP,
        "host": "where to run it (default: the scheduler's host)",
    },
    positional=["words"],
)
def airflow(c, words, env="", host=""):
    """
    Run a command of Airflow's on a host: fab airflow "dags list -o json"

    What it prints comes as it is printed, stdout and stderr apart, without the secrets of this installation; its exit
    code is fab's. It can ask nothing: there is no terminal. Ctrl-C ends it there as well. A password in the words is
    refused (exit 2): every process list would show it.
    """
    from airfleet.airflow_command import run_airflow
    from tasks import screen

    with screen.piped():
        status = run_airflow(environment(env), words, host, lambda text, error: screen.foreign(text, error=error))
        if status:
            raise Exit(code=status)


@command(
    help={
        "host": "a host of the inventory",
        "env": ENV_HELP,
        "root": "root's shell instead of the account's",
        "print": "print the ssh command instead of running it",
    },
    positional=["host"],
)
def shell(c, host, env="", root=False, print=False):
    """
    Open a shell on a host as the account of Airflow: fab shell af1

    It has the environment of the services, and `airflow` and `python` are the ones that they run. The host's key must
    be known, as for every other command. The exit code is the shell's.
    """
    from airfleet import shell as flow
    from tasks import screen

    words = flow.shell_command(environment(env), host, root=root)
    if print:
        screen.write(f"{flow.written(words)}\n")
    else:
        flow.become(words)
