"""Runs SQL of a runbook as Airflow's own role, and returns its rows as text: run by the environment's own Python."""

from __future__ import annotations

import urllib.parse

import psycopg2

MOST = 50


def inside(words, tell):
    """Return {"output": a line for each row, "rc": 0, or 1 with what the database says}."""
    url = urllib.parse.urlsplit(words["url"])._replace(scheme="postgresql").geturl()
    try:
        connection = psycopg2.connect(url, connect_timeout=10, application_name="airfleet")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"set statement_timeout = {int(words['timeout_s'] * 1000)}")
            cursor.execute(words["text"])
            rows = cursor.fetchmany(MOST) if cursor.description else []
        connection.close()
    except psycopg2.Error as e:
        return {"output": str(e).strip(), "rc": 1}
    return {"output": "\n".join(" | ".join(map(str, row)) for row in rows), "rc": 0}
