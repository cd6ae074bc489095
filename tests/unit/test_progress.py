"""How far a run has come: people done and the share of the whole."""

from pathlib import Path

import pytest
from rich.progress import Progress

from pipelines import cli
from pipelines.defs.headless import Standing, _Follower
from pipelines.io.progress import heard_by, tell
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from tests.lib.tables import AS_OF, table


def test_a_table_tells_after_each_icb_how_many_registrations_are_done(tmp_path: Path) -> None:
    warehouse = Warehouse(Settings(home=tmp_path))
    for icb, count in (("QE1", 1), ("QF7", 3)):
        rows = "\n".join(f"{person} | P{icb}" for person in range(count))
        registrations = table("registrations", f"person_id | practice_code\n{rows}")
        warehouse.write("registrations", AS_OF, icb, registrations)
    heard: list[tuple[int, int]] = []
    with heard_by(lambda done, of: heard.append((done, of))):
        warehouse.build("closed_practices", AS_OF)
    warehouse.build("closed_practices", AS_OF)
    assert heard == [(1, 4), (4, 4)]


def test_nobody_needs_to_listen() -> None:
    tell(1, 2)


def test_a_run_stands_where_its_steps_stood_last_time() -> None:
    heard: list[Standing] = []
    follower = _Follower({"first": 30.0, "second": 10.0}, heard.append)
    follower.step = "first"
    follower.hear_part(1, 2)
    follower.passed, follower.step = 30.0, "second"
    follower.hear_part(1, 2)
    assert heard == [Standing("first", 15 / 40, 1, 2), Standing("second", 35 / 40, 1, 2)]


@pytest.mark.parametrize(
    ("seconds", "share", "said"),
    [(60.0, 0.25, ", about 0:03:00 left"), (60.0, 0.01, ""), (None, 0.5, ""), (10.0, 1.0, ", about 0:00:00 left")],
)
def test_the_time_left_is_told_once_enough_is_done(seconds: float | None, share: float, said: str) -> None:
    assert cli._left(seconds, share) == said


def test_steps_are_shown_with_the_people_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Progress, "update", lambda self, task, *, description: shown.append(description))
    with cli._steps("starting") as on_step:
        on_step("people")
        tell(1_000, 63_000)
    assert shown == ["people", "people, 1,000 of 63,000 registrations"]


@pytest.mark.parametrize(("text", "count"), [("20000", 20_000), ("20,000", 20_000), ("63e6", 63_000_000)])
def test_people_are_counted_as_people_write_them(text: str, count: int) -> None:
    assert cli._count(text) == count


@pytest.mark.parametrize("text", ["many", "1.5", "0", "-3", "nan", "inf"])
def test_what_is_no_count_of_people_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a whole number"):
        cli._count(text)
