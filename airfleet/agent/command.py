"""Airflow's own command line, as an operator types it: run as the account, in the environment of its units."""

from __future__ import annotations

from airfleet.agent import become, files, run, stream

PATIENCE_S = 10  # after Ctrl-C


def airflow(words, part):
    """Run `airflow` with `words`, and tell {"out": text} and {"err": text} as it prints; answer {"rc": exit status}.

    Bytes that are no UTF-8 come as lone surrogates. It can ask nothing: there is no terminal, and its stdin is empty.
    """

    def taker(name):
        return lambda data: part({name: data.decode("utf-8", "surrogateescape")})

    status = stream.stream(
        [f"{words['venv']}/bin/airflow", *words["words"]],
        taker("out"),
        taker("err"),
        user=words["account"],
        env=environment_of(words["environment"]),
        cwd=run.account_of(words["account"]).pw_dir,
        patience_s=PATIENCE_S,
    )
    return {"rc": status if status >= 0 else 128 - status}  # ended by a signal: as shells tell it


def environment_of(path):
    """Return the environment of the units, from the file that systemd reads it from."""
    seen, detail = files.look_file(path, {})
    if "text" not in detail:
        what = f"there is no {path} on this host" if seen is None else f"{path} can't be read: {seen['sha256']}"
        raise run.Refused(what, kind="missing", remedy="run: fab bootstrap")
    return become.parse(detail["text"])
