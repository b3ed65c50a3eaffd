"""What is kept before a change, and which changes are worth it."""

import pytest

from airfleet import way_back_files
from airfleet.model import Change, Seen, Stage
from airfleet.resources import File, Link, Made, Packages, Unit

UNIT = Unit("airflow-scheduler.service")


@pytest.mark.parametrize(
    ("resource", "seen", "expected"),
    [
        (File("/a", "new"), {"sha256": "old"}, True),
        (Link("/a", "new"), {"target": "old"}, True),
        (Made("leftovers", "/etc/systemd/system", {}, ask={"files": []}), {"x.service": "there"}, True),
        (Made("instances", "airflow-worker@", {}), {"airflow-worker@3": "enabled"}, True),
        (UNIT, {"enabled": "disabled", "active": "active"}, True),
        (UNIT, None, True),
        (UNIT, {"enabled": "enabled", "active": "failed"}, False),
        (UNIT, {"enabled": "enabled", "active": "active", "started with /a": "old"}, False),
        (Packages(("git",)), {"git": "missing"}, False),
        (Made("venv", "/v", {"digest": "new"}), None, False),
        (Made("release", "/r", {"commit": "new"}), {"commit": "old"}, False),
    ],
)
def test_a_restart_or_what_is_built_beside_needs_no_way_back(resource, seen, expected):
    """Links, files, and what starts at boot do: they can be put back."""
    assert way_back_files.replaces(Change(resource, Seen(seen))) is expected


def test_all_is_kept_that_a_later_stage_could_replace():
    """Units that are to go by their files, a template's and instances by their pattern; nothing twice."""
    files = ["airflow-api.service", "airflow-x@.service", "nginx.service.d/airfleet.conf"]
    gone = Made("leftovers", "/etc/systemd/system", {}, ask={"files": files})
    many = Made("instances", "airflow-worker@", {})
    stages = [Stage("config", (File("/a", "text"), gone)), Stage("release", (Link("/l", "r"), UNIT, UNIT, many))]
    assert way_back_files.kept(stages) == {
        "paths": ["/a", *(f"/etc/systemd/system/{name}" for name in files), "/l"],
        "units": [
            *("airflow-api.service", "airflow-x@*.service", "nginx.service"),
            *("airflow-scheduler.service", "airflow-worker@*.service"),
        ],
    }


def test_the_timer_comes_again_after_a_reboot():
    """It is wanted at boot, and looks as often as the promise has it."""
    program = way_back_files.program()
    assert f"OnActiveSec={way_back_files.EVERY_S}s\nOnUnitInactiveSec={way_back_files.EVERY_S}s\n" in program["timer"]
    assert "WantedBy=timers.target" in program["timer"]
    assert (
        program["launcher"].rstrip().endswith("from airfleet.agent.way_back import main\nsys.exit(main(sys.argv[2]))")
    )
    assert f"{way_back_files.FOLDER}\n" in program["service"]
