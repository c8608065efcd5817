"""Tables fit a terminal of 80 columns as well as a wide one: nothing is cut off, and what people copy stands in one piece."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from rich.console import Console
from sqlalchemy import update

from jobs.commands.lanes import board
from jobs.ledger import batches, deliveries, releases
from jobs.ledger.lanes import LaneStatus
from jobs.ledger.models import Delivery
from jobs.serving.report import report_data
from jobs.serving.terminal import kpi_table
from tests.commands.conftest import Said
from tests.ledger.conftest import DAY, TinyBank
from tests.serving import sample

Command = Callable[..., Said]
HISTORY = "2026-09-12..2026-09-14|v1"
REFUSED = (
    "The trailer states a sum of 1234.56, the amounts add up to 1234.55 (difference -0.01). Expected equal sums; ask "
    "the sender for the right file."
)
CAUGHT = "gold.customer_360_daily: 3 of 12,345 rows have an amount that is not above 0; they wait in quarantine."
PAGE = f"/srv/ledgerlake/banks/demo/data_docs/{HISTORY}_customer_360_daily.html"
REPORT = f"/srv/ledgerlake/banks/demo/reports/{HISTORY}/kpi_report.html"


@pytest.fixture
def full(running: TinyBank) -> TinyBank:
    """A ledger with the longest words that occur."""
    loaded = running.arrives("core_transactions", "b01", DAY)
    refused = running.claim("core_transactions", "b02", DAY)
    with running.ledger.begin() as db:
        counts = {"received_rows": 1234567, "accepted_rows": 1234000, "rejected_rows": 567, "duplicate_rows": 0}
        values = update(Delivery).values(**counts, received_money=Decimal("12345678.90"))
        db.execute(values.where(Delivery.delivery_id.in_([loaded, refused])))
        deliveries.set_state(db, refused, "refused", "r", reason=REFUSED, cause="trailer_sum", sha256="ab" * 32)
        batch = batches.start(db, "gold.customer_360_daily", HISTORY, "r")
        failed = {"rule": "amount_positive", "on_fail": "quarantine", "unexpected": 3, "sentence": CAUGHT}
        batches.record_gate(
            db, batch_id=batch.batch_id, table="gold.customer_360_daily", subject=HISTORY, outcome="stop", rules_run=17,
            failed=[failed], result={}, docs_path=PAGE, run_id="r",
        )  # fmt: skip
        batches.open_case(
            db, kind="rows", table="gold.customer_360_daily", cause="amount_positive", subject=HISTORY, reason=CAUGHT,
            affected_rows=1234567, owner="head-office-accounting", run_id="r", money=Decimal("-1234567.89"),
            entity="b01", business_date=DAY,
        )  # fmt: skip
        [made] = releases.listing(db)
        releases.set_report(db, made.release_id, REPORT)
        releases.set_published(db, made.release_id)
    return running


# Words of the command -> what must stand in one piece, whatever the width.
WHOLE = {
    ("files",): ["D0000003", "D0000004", "core_transactions", "refused", "12,345,678.90", "1234567", "1234000", "567"],
    ("files", "--delivery", "D0000004"): ["D0000004", "ab" * 32, "verified", "refused", "12,345,678.90"],
    ("gates",): ["gold.customer_360_daily", HISTORY, "stop", "17", "amount_positive (quarantine): ", PAGE],
    ("quarantine",): ["1", "gold.customer_360_daily", "amount_positive", HISTORY, "-1,234,567.89", "b01", str(DAY)],
    ("quarantine", "--by-cause"): ["gold.customer_360_daily", "amount_positive", "1234567", "-1,234,567.89"],
    ("releases",): [HISTORY, "final", "2/2", "take_on", REPORT],
}


@pytest.mark.parametrize("width", [60, 80, 140])
@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_nothing_is_cut_off(full: TinyBank, ledgerlake: Command, words: tuple[str, ...], width: int) -> None:
    out = ledgerlake(*words, width=width).out
    missing = [piece for piece in WHOLE[words] if piece not in out]
    assert not missing, out
    assert "…" not in out


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_lines_fit_but_for_what_is_to_be_copied(
    full: TinyBank, ledgerlake: Command, words: tuple[str, ...], width: int
) -> None:
    for line in ledgerlake(*words, width=width).out.splitlines():
        copied = line.strip().startswith("/") or (words[1:2] == ("--delivery",) and line.startswith("reason"))
        assert len(line) <= width or copied, line


def test_a_delivery_says_which_version_it_is(running: TinyBank, ledgerlake: Command) -> None:
    third = running.claim("core_transactions", "b01", DAY, version=3)
    assert ["version", "3"] in [line.split() for line in ledgerlake("files", "--delivery", third).out.splitlines()]


def test_a_long_reason_stands_below_its_row(full: TinyBank, ledgerlake: Command) -> None:
    out = ledgerlake("files", "--state", "refused", width=80).out.splitlines()
    assert out[0].split() == ["delivery", "feed", "entity", "date", "state", "received", "rejected"]
    assert out[1].split() == ["D0000004", "core_transactions", "b02", str(DAY), "refused", "1234567", "567"]
    assert out[2].strip() == "money 12,345,678.90 · accepted 1234000"
    assert " ".join(line.strip() for line in out[3:]) == REFUSED


def test_a_wide_terminal_has_all_columns(full: TinyBank, ledgerlake: Command) -> None:
    head = ledgerlake("files", width=140).out.splitlines()[0].split()
    assert head[5:] == ["received", "accepted", "rejected", "duplicate", "money"]


def drawn(status: list[LaneStatus], width: int) -> list[str]:
    console = Console(width=width, record=True)
    with console.capture() as shown:
        console.print(board(status, "2026-09-15", width))
    return [line.rstrip() for line in shown.get().splitlines()]


def lanes_of(branches: int, **states: str) -> list[LaneStatus]:
    """All loaded but for those of `states`, which are roll-call's words."""
    names = [f"b{n:02d}" for n in range(1, branches + 1)]
    return [
        LaneStatus(
            "core_transactions",
            name,
            DAY,
            states.get(name, "arrived"),
            "owner",
            state=None if name in states else "loaded",
        )  # type: ignore[arg-type]
        for name in names
    ]


def test_the_board_says_words_where_they_have_room() -> None:
    lines = drawn(lanes_of(3, b02="refused"), 80)
    assert [line.split() for line in lines] == [
        ["2026-09-15"],
        ["feed", "b01", "b02", "b03"],
        ["core_transactions", "✓", "refused", "✓"],
    ]


def test_the_board_goes_on_below_and_explains_its_marks() -> None:
    lines = drawn(lanes_of(20, b02="refused", b03="missing", b20="held"), 80)
    shown = [word for line in lines for word in line.split() if word.startswith("b")]
    assert shown == [f"b{n:02d}" for n in range(1, 21)]
    assert [line.split()[0] for line in lines[1:]] == ["feed", "core_transactions"] * 2 + ["h"]
    assert lines[2].split()[1:4] == ["✓", "✗", "?"]
    assert lines[-1] == "h held  ✗ refused  ? missing"
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("width", [80, 140])
def test_the_figures_fit(width: int) -> None:
    data = report_data([*sample.month()], [], sample.catalog(), sample.release(), names=sample.NAMES)
    console = Console(width=width)
    with console.capture() as capture:
        console.print(kpi_table(data, width=width))
    shown = capture.get()
    assert "…" not in shown
    for kpi in data["kpis"]:
        assert all(word in shown for word in [kpi["id"], *kpi["title"]["en"].split(), *kpi["period"]["en"].split()])
    assert ("┃" in shown) == (width > 100)
