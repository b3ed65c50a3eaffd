"""A unit that reads its files again when it is reloaded is not restarted for them, and is for anything else."""

import pytest

from airfleet.agent import units

CONF, DROP_IN = "started with /etc/nginx/nginx.conf", "started with /etc/x/airfleet.conf"
WANT = {"enabled": "enabled", "active": "active", "reload": "no", CONF: "new", DROP_IN: "same"}
MEANS = {"stop_timeout_s": 90, "reloads": ["/etc/nginx/nginx.conf"]}


@pytest.fixture
def done(monkeypatch):
    """What systemd is asked for."""
    asked = []
    monkeypatch.setattr(units.run, "run", lambda argv, **_: asked.append(argv[1]) or "")
    monkeypatch.setattr(units, "look_units", lambda items: [({"enabled": "enabled", "active": "active"}, {})])
    monkeypatch.setattr(units, "bring", lambda name, verb, wanted, *_: asked.append(verb) or wanted[0])
    return asked


@pytest.mark.parametrize(
    ("seen", "means", "verb"),
    [
        ({CONF: "old"}, MEANS, "reload"),
        ({CONF: "old"}, {"stop_timeout_s": 90}, "restart"),
        ({CONF: "old", DROP_IN: "other"}, MEANS, "restart"),
        ({CONF: "old", "reload": "yes"}, MEANS, "restart"),
        ({CONF: "old", "active": "failed"}, MEANS, "start"),
        ({}, MEANS, ""),
    ],
)
def test_only_what_a_reload_reads_is_reloaded(done, seen, means, verb):
    """The file alone: reload. Its unit, or a unit without reloads: restart. Nothing that differs: neither."""
    units.make_unit("nginx.service", {**WANT, **seen}, WANT, means, None)
    assert [each for each in done if each in ("reload", "restart", "start")] == [verb] * bool(verb)
