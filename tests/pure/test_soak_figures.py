"""The soak's figures: whether memory grows, in which order commands come, and what docs/reliability.md has of a run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import islice
from types import SimpleNamespace

import pytest

from tests.live.ledger.book import Verdict
from tests.live.soak import commands, memory, page
from tests.live.soak.commands import KINDS, Commands, Done, dealt
from tests.live.soak.memory import Sample, Trend, growing, trends

HOUR_S = 3600
VERDICT = Verdict(tasks=900, lost=0, twice=0, failed=0, retried=0, busy=0.5)


def life(began, level, slope, *, part="af1 scheduler", noise=0.0, seconds=1800, seed=1):
    """Return the samples of one life: MiB an hour from a level, with noise, and a bump while it warms up."""
    chance = random.Random(seed)
    return [
        Sample(began + at, part, began, level + slope * at / HOUR_S + chance.gauss(0, noise) - (at < 300) * 40)
        for at in range(0, seconds, 5)
    ]


@pytest.mark.parametrize("slope", [0.0, 12.0, 60.0, -8.0])
def test_the_slope_is_that_within_the_lives(slope):
    """Three lives on levels of their own, each with a warm-up: neither is growth."""
    found = [each for began, level in ((0, 300), (2000, 500), (4000, 150)) for each in life(began, level, slope)]
    random.Random(2).shuffle(found)
    (trend,) = trends(found, 300)
    assert (trend.part, trend.lives) == ("af1 scheduler", 3)
    assert trend.slope == pytest.approx(slope, abs=1e-6)
    assert trend.error == pytest.approx(0, abs=1e-6)


def test_what_grows_is_named_and_what_only_varies_is_not():
    """A leak of 60 MiB an hour amid tasks that come and go; the same noise without one."""
    leaks = life(0, 300, 60, part="af1 leaks", noise=10, seconds=7200)
    varies = life(0, 300, 0, part="af2 varies", noise=10, seconds=7200)
    brief = life(0, 300, 0, part="af2 brief", noise=60, seconds=600)
    found = trends([*leaks, *varies, *brief], 300)
    assert [each.part for each in growing(found, 32)] == ["af1 leaks"]


def test_tasks_that_last_for_some_samples_are_no_sure_growth():
    """What is high stays so for half a minute: samples that are not independent make nothing surer."""
    chance = random.Random(2)
    levels = [chance.choice((0, 200)) for _ in range(60)]
    found = [Sample(at, "af1 worker@1", 0, 300 + levels[at // 30]) for at in range(0, 1800, 5)]
    assert growing(trends(found, 60), 32) == []


def test_of_a_life_that_was_too_short_nothing_is_said():
    """It ended while it warmed up."""
    (trend,) = trends(life(0, 300, 1000, seconds=200), 300)
    assert (trend.slope, trend.lives, growing([trend], 32)) == (None, 1, [])


def test_the_sampler_sees_processes_by_their_unit():
    """The program that runs on the hosts, here: one line of JSON, which is read."""
    child = subprocess.Popen([sys.executable, "-c", memory.SAMPLER, "60"], stdout=subprocess.PIPE, text=True)
    try:
        line = child.stdout.readline()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert isinstance(json.loads(line)["parts"], dict)
    made = {"at": 7.5, "parts": {"airflow-worker@1.service": [2048, 99], "redis-server.service": [1024, 5]}}
    assert memory.samples("af1", json.dumps(made)) == [
        Sample(7.5, "af1 worker@1", 99, 2.0),
        Sample(7.5, "af1 redis-server", 5, 1.0),
    ]


def test_each_kind_comes_once_before_any_comes_twice():
    """In another order each time, and the same for the same seed; each is there to be typed."""
    first, second = (list(islice(dealt(random.Random(seed)), 2 * len(KINDS))) for seed in (1, 2))
    assert {*first[: len(KINDS)]} == {*first[len(KINDS) :]} == {*KINDS}
    assert first != second
    assert first == list(islice(dealt(random.Random(1)), 2 * len(KINDS)))
    assert all(hasattr(Commands, "_" + kind.replace("-", "_")) for kind in KINDS)


def test_a_look_that_names_a_cause_is_kept_and_the_soak_goes_on(monkeypatch):
    """The doctor's exit code is no end of hours of work; what it said is there at their end."""
    monkeypatch.setattr(commands, "currents", lambda _: {"af1": "c"})
    answers = {"status": (0, "well"), "doctor": (9, "redis-down")}

    def fab(word, **_):
        return SimpleNamespace(returncode=answers[word][0], stdout=answers[word][1])

    made = Commands(SimpleNamespace(installation=SimpleNamespace(fab=fab)), None, None, random.Random(1))
    made._kinds = iter(("status", "doctor"))
    made.one()
    made.one()
    assert [each.typed for each in made.done] == ["fab status", "fab doctor"]
    assert made.wrong == ["fab doctor, as command 2: exit 9\nredis-down"]


@pytest.fixture
def figures():
    """What a run has seen."""
    return {
        "seconds": 7200,
        "seed": 42,
        "cores": 2,
        "most_mib_h": 32,
        "verdict": VERDICT,
        "unacked": 0,
        "commands": [Done("deploy", "fab deploy", 200.0), Done("deploy", "fab deploy", 300.4), Done("status", "x", 3)],
        "memory": [Trend("af1 scheduler", 4, 310.0, 350.4, 1.25, 0.5), Trend("af1 logs", 1, 90.0, 91.0, None, 0.0)],
    }


def test_the_page_has_the_run_and_what_others_have_written(figures):
    """A run takes the place of the one with its title; what stands before and behind the part stays."""
    text = "# What happens\n\nwords\n\n## Soak\n\nold head\n\n## Fuzzing\n\nmore words\n"
    long, short = page.title("3.3.2", 7200), page.title("3.3.2", 600)
    once = page.put(page.put(text, long, page.body(figures)), short, ["short"])
    again = page.put(page.put(once, short, ["shorter"]), long, page.body(figures))
    assert again == once.replace("\nshort\n", "\nshorter\n")
    assert "old head" not in once
    assert once.startswith("# What happens\n\nwords\n\n## Soak\n")
    assert once.endswith("\n\n## Fuzzing\n\nmore words\n")
    assert "| deploy | 2 | 250 s | 300 s |" in once
    assert "| af1 scheduler | 4 | 310 MiB | 350 MiB | +1.2 ± 0.5 |" in once
    assert "| af1 logs | 1 | 90 MiB | 91 MiB | too short a life |" in once
    assert "900 tasks asked for, 0 lost, 0 run twice" in once
    assert "### Airflow 3.3.2, 120 minutes" in once
    assert "no part may grow by more than 32." in once
    assert "so short a run is not judged by it." in "\n".join(page.body(figures | {"most_mib_h": None}))


def test_a_page_without_the_part_gets_it_at_its_end(figures):
    """The first run of all."""
    assert page.put("# What\n\nwords\n", "Airflow", ["x"]).startswith("# What\n\nwords\n\n## Soak\n")
    assert page.put("# What\n", "Airflow", ["x"]).endswith("### Airflow\n\nx\n")


def test_figures_are_kept_as_json(figures, monkeypatch, tmp_path):
    """All of them, of a run that fails too."""
    monkeypatch.setattr(page, "KEPT", tmp_path)
    kept = json.loads(page.keep(figures, "3.3.2").read_text())
    assert (kept["verdict"]["tasks"], kept["commands"][0]["typed"]) == (900, "fab deploy")
    assert kept["memory"][1]["slope"] is None


def test_the_page_says_what_a_soak_is():
    """In the words of the program that writes it."""
    assert page.HEAD in page.PAGE.read_text()
