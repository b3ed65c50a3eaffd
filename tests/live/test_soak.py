"""Under the ledger's load, with a command of chance every minute: nothing is lost, and no part's memory grows.

An ordinary run has ten minutes of it, with the same commands each time, and no page is written. AIRFLEET_SOAK=SECONDS
(`make soak`: two hours; `make soak SECONDS=600`) takes others, and AIRFLEET_SOAK_SEED repeats those of a run.
"""

from __future__ import annotations

import os
import random
import threading
import time
from functools import partial

import pytest

from tests.live.conftest import wait_for
from tests.live.ledger.case import forget_outages, unacked
from tests.live.ledger.load import TASKS, Load
from tests.live.ledger.own_role import opened
from tests.live.soak import memory, page
from tests.live.soak.commands import HOSTS, Commands

ASKED = int(os.environ.get("AIRFLEET_SOAK") or 0)
SECONDS = ASKED or 600
ORDINARY = 9804  # it looks, deploys, loses the operator of a deploy, looks, rotates a secret
SEED = int(os.environ.get("AIRFLEET_SOAK_SEED") or (time.time() if ASKED else ORDINARY))
pytestmark = [pytest.mark.live, pytest.mark.timeout(SECONDS + 7200)]

SLOTS = 16
MINUTE_S = 60
LONG_S = 3600
WARM_S = 300 if SECONDS >= LONG_S else 60
LONGEST_S = 60 if SECONDS >= LONG_S else 20
MOST_MIB_H = 32 if SECONDS >= LONG_S else None  # in minutes nothing is learnt of it


@pytest.fixture(scope="module")
def book(first, team):
    """The installation with the ledger's DAG on it."""
    return opened(first, team)


def test_nothing_is_lost_and_no_part_grows(first, team, book):
    """0 lost, 0 twice, 0 failed, `unacked` empty; every command ends well; no part grows, where that can be told."""
    installation = first.installation
    print(f"seed {SEED}", flush=True)
    api = first.api
    # What other tests slow down is no reason to refuse the next restart of the API server.
    before = (lambda: None) if ASKED else partial(forget_outages, installation)
    commands = Commands(first, team, api, random.Random(SEED), before)
    figures = {"seconds": SECONDS, "seed": SEED, "cores": os.cpu_count(), "most_mib_h": MOST_MIB_H}
    load = Load(api, book, longest_s=LONGEST_S, backlog=2 * SLOTS)
    seen = memory.Memory(installation, HOSTS)
    try:
        with seen, load:
            wait_for(lambda: book.begun() >= SLOTS, "a task in every slot", 180)
            _work(commands, time.monotonic() + SECONDS)
        wait_for(lambda: not book.open_states(load.runs), "the end of all tasks", 900)
        wait_for(lambda: unacked(installation) == 0, "an answer for every message", 60)
    finally:
        api.forget()
        found = memory.trends(seen.samples, WARM_S)
        figures |= {"commands": commands.done, "memory": found, "refused": load.refused}
        figures |= {"verdict": book.verdict(load.runs, TASKS, SLOTS), "unacked": unacked(installation)}
        print(f"figures: {page.keep(figures, installation.airflow)}", flush=True)
    print(*page.body(figures), sep="\n")
    assert figures["verdict"].clean, figures["verdict"]
    assert {"scheduler", "triggerer", "worker@1", "redis-server", "ssh"} <= {each.part.split()[1] for each in found}
    assert commands.wrong == []
    assert MOST_MIB_H is None or memory.growing(found, MOST_MIB_H) == []
    if ASKED:
        page.write(page.title(installation.airflow, SECONDS), page.body(figures))


def _work(commands, until):
    """Type a command, and the next a minute after it was begun, or when it has ended if that took longer."""
    pause = threading.Event()
    while (began := time.monotonic()) < until:
        commands.one()
        pause.wait(max(0.0, min(began + MINUTE_S, until) - time.monotonic()))
