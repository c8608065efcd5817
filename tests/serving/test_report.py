"""What management reads: each figure as stored, n/a where there is none, and nothing left out."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from jobs.contracts.catalog import Catalog
from jobs.serving.render import change, figure, percent, render_html, trend_line
from jobs.serving.report import report_data, write_report
from jobs.serving.terminal import kpi_table
from tests.serving import sample
from tests.serving.sample import DAY, row

AUG15, AUG31 = date(2026, 8, 15), date(2026, 8, 31)


def only(*kpis: str) -> Catalog:
    whole = sample.catalog()
    return Catalog(whole.profile, {}, {}, {k: whole.kpis[k] for k in kpis}, {})


def k1(rows: list[dict], history: list[dict] = (), **release: object) -> dict:
    data = report_data(rows, history, only("K1"), sample.release(**release), names=sample.NAMES)
    return data["kpis"][0]


def share(numerator: int, denominator: int, day: date = DAY, kind: str = "mtd", **rest: object) -> dict:
    return row("K1", "count_share", kind, day, numerator, denominator, **rest)


def test_a_figure_is_told_with_its_numerator_denominator_and_target() -> None:
    kpi = k1([share(48, 100), share(40, 80, kind="day")])
    assert (kpi["value"], kpi["numerator"], kpi["denominator"]) == ("0.48", "48", "100")
    assert kpi["period_kind"] == "mtd"
    assert kpi["target"] == {"value": "0.45", "attainment": "1.0667", "is_met": True}
    assert [p["value"] for p in kpi["measures"][0]["periods"]] == ["0.5", "0.48"]


@pytest.mark.parametrize(("value", "attainment"), [(90, "1.2000"), (45, "1.0000"), (27, "0.6000"), (0, "0.0000")])
def test_attainment_is_value_over_target_up_to_one_and_a_fifth(value: int, attainment: str) -> None:
    assert k1([share(value, 100)])["target"]["attainment"] == attainment


def test_attainment_of_a_measure_that_should_be_low_is_target_over_value() -> None:
    data = report_data([row("K34", "ratio", "day", DAY, 3, 100)], [], only("K34"), sample.release())
    assert data["kpis"][0]["target"] == {"value": "0.015", "attainment": "0.5000", "is_met": False}


def test_a_target_that_is_not_in_force_yet_is_none() -> None:
    whole = only("K1")
    later = whole.kpis["K1"].model_copy(
        update={"target": whole.kpis["K1"].target.model_copy(update={"valid_from": date(2027, 1, 1)})}
    )
    catalog = Catalog(whole.profile, {}, {}, {"K1": later}, {})
    assert report_data([share(48, 100)], [], catalog, sample.release())["kpis"][0]["target"] is None


def test_nothing_to_divide_by_is_not_available_and_never_nought() -> None:
    data = report_data([share(0, 0)], [share(10, 20, AUG15)], only("K1"), sample.release())
    kpi = data["kpis"][0]
    assert kpi["value"] is None
    assert kpi["numerator"] == "0"
    assert kpi["target"]["attainment"] is None
    assert kpi["previous"]["change"] is None
    words = visible(render_html(data), "en")
    assert "0.00%" not in words
    assert "n/a" in words


def test_a_kpi_without_any_row_is_shown_all_the_same() -> None:
    data = report_data([], [], only("K1", "K34"), sample.release())
    assert [(k["id"], k["value"]) for k in data["kpis"]] == [("K1", None), ("K34", None)]
    assert visible(render_html(data), "en").count("Non-performing loan ratio") == 2
    assert len(list(kpi_table(data).columns[0].cells)) == 2


def test_guards_stand_beside_and_say_when_they_are_not_computed() -> None:
    """R14: K8 is guarded by K39 and K30, which this bank does not compute yet; K1 here by the bad-loan ratio, which it
    does."""
    whole = only("K1", "K34")
    guarded = Catalog(
        whole.profile, {}, {}, whole.kpis | {"K1": whole.kpis["K1"].model_copy(update={"guards": ["K41", "K34"]})}, {}
    )
    data = report_data([share(48, 100), row("K34", "ratio", "day", DAY, 3, 200)], [], guarded, sample.release())
    first, second = data["kpis"][0]["guards"]
    assert (first["title"]["en"], first["value"], first["is_computed"]) == ("Consent and warning coverage", None, False)
    assert (second["title"]["zh"], second["value"], second["is_computed"]) == ("不良贷款率", "0.015", True)
    words = visible(render_html(data), "en")
    assert "Consent and warning coverage n/a" in words
    assert "Non-performing loan ratio 1.50%" in words


def test_the_previous_period_is_the_same_day_of_the_month_before() -> None:
    assert k1([share(48, 100)], [share(45, 100, AUG15)])["previous"] == {
        "period_kind": "mtd",
        "period": {"en": "1–15 Aug, to date", "zh": "8月1–15日累计"},
        "value": "0.45",
        "change": "0.03",
        "relative_change": "0.0667",
    }


def test_without_it_the_whole_month_before_is_taken_and_named() -> None:
    previous = k1([share(48, 100)], [share(40, 100, AUG31, kind="month")])["previous"]
    assert (previous["period"]["en"], previous["value"]) == ("Aug 2026", "0.4")


def test_a_short_month_before_a_long_one() -> None:
    end = date(2026, 3, 31)
    data = report_data(
        [share(48, 100, end)], [share(44, 100, date(2026, 2, 28))], only("K1"), sample.release(to_date=end)
    )
    assert data["kpis"][0]["previous"]["value"] == "0.44"


def test_of_several_statements_the_newest_counts_and_the_former_is_named() -> None:
    restated = share(50, 100, restatement_no=1, restatement_reason="late")
    kpi = k1([restated, share(48, 100)], version=2, kind="restated", cause="late")
    assert kpi["value"] == "0.5"
    assert kpi["restatement"] == {
        "number": 1,
        "reason": "late",
        "reason_title": {"en": "late delivery", "zh": "数据迟到"},
        "former_value": "0.48",
    }


def test_breakdowns_follow_one_dimension_each() -> None:
    rows = [
        share(48, 100),
        share(30, 60, province_code="11"),
        share(18, 40, province_code="37"),
        share(30, 60, province_code="11", branch_id="b01"),
        share(0, 0, business_line="bond"),
        share(48, 90, business_line="fund"),
        share(7, 9, business_line="fund", province_code="11"),
    ]
    groups = {g["dimension"]: [(r["title"]["en"], r["value"]) for r in g["rows"]] for g in k1(rows)["breakdown"]}
    assert groups == {
        "business_line": [("Bonds", None), ("Funds", "0.533333")],
        "province_code": [("Beijing", "0.5"), ("Shandong", "0.45")],
        "branch_id": [("Chaoyang Road", "0.5")],
    }


def test_one_legal_entity_in_all_rows_does_not_divide_the_figure() -> None:
    kpi = k1([share(48, 100, legal_entity_id="bank"), share(5, 10, legal_entity_id="bank", province_code="11")])
    assert kpi["value"] == "0.48"
    assert [g["dimension"] for g in kpi["breakdown"]] == ["province_code"]


def test_a_trend_has_thirty_days_and_its_gaps() -> None:
    days = [share(n, 100, date(2026, 9, n), kind="day") for n in (1, 2, 3, 7, 8)]
    kpi = k1([share(48, 100)], days)
    assert (kpi["trend"]["points"][0]["date"], kpi["trend"]["points"][-1]["date"]) == ("2026-08-17", "2026-09-15")
    drawing = trend_line(kpi["trend"], "ratio", width=100, height=30)
    assert drawing.count("<polyline") == 2, "three days, a gap, two days"


def test_a_month_to_date_begins_anew_with_the_month() -> None:
    points = [
        {"date": d, "value": v}
        for d, v in (("2026-08-30", "9"), ("2026-08-31", "10"), ("2026-09-01", "1"), ("2026-09-02", "2"))
    ]
    assert trend_line({"period_kind": "mtd", "points": points}, "count", width=100, height=30).count("<polyline") == 2
    assert trend_line({"period_kind": "day", "points": points}, "count", width=100, height=30).count("<polyline") == 1


def test_missing_branches_are_named_with_what_they_owe() -> None:
    data = report_data(
        [share(48, 100)],
        [],
        only("K1"),
        sample.release(kind="provisional", cause="close_by", missing=sample.MISSING, received_units=49),
        names=sample.NAMES,
    )
    assert data["is_provisional"]
    assert data["missing"] == [
        {"entity": "b03", "name": "Jinan Old Town", "feeds": ["core_balances", "core_transactions"]}
    ]
    words = visible(render_html(data), "zh")
    assert "暂定数据" in words
    assert "Jinan Old Town core_balances, core_transactions" in words
    assert "49 / 51" in words


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        ("0.4836", "ratio", "48.4%"),
        ("0.01523", "ratio", "1.52%"),
        ("1.076", "ratio", "107.6%"),
        ("-0.02", "ratio", "-2.00%"),
        ("1234567", "count", "1,234,567"),
        ("1234567.5", "amount", "CNY 1,234,567.50"),
        (None, "ratio", "n/a"),
        (None, "amount", "n/a"),
    ],
)
def test_how_figures_are_written(value: str | None, unit: str, shown: str) -> None:
    assert figure(value, unit, "CNY") == shown


def test_changes_are_points_for_ratios_and_per_cent_for_counts() -> None:
    previous = {"change": "-0.0325", "relative_change": "-0.065"}
    assert change(previous, "ratio") == {"en": "−3.25 pp", "zh": "−3.25 个百分点"}
    assert change(previous, "count") == {"en": "−6.5%", "zh": "−6.5%"}
    assert change({"change": None, "relative_change": None}, "ratio") is None
    assert percent("1.0667") == "106.7%"


# --- the page ---


class _Text(HTMLParser):
    """The words that a reader of one language sees."""

    def __init__(self, language: str):
        super().__init__()
        self.hidden = {"en": "zh", "zh": "en"}[language]
        self.stack: list[bool] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "input"):
            self.stack.append(tag in ("style", "title") or dict(attrs).get("class") == self.hidden)

    def handle_endtag(self, tag: str) -> None:
        self.stack.pop()

    def handle_data(self, data: str) -> None:
        if not any(self.stack):
            self.words.append(data)


def visible(html: str, language: str) -> str:
    parser = _Text(language)
    parser.feed(html)
    assert not [hidden for hidden in parser.stack if hidden], "every element is closed"
    return " ".join(" ".join(parser.words).split())


@pytest.fixture(scope="module")
def whole() -> dict:
    return report_data([*sample.month(), *sample.divided()], [], sample.catalog(), sample.release(), names=sample.NAMES)


def test_the_page_needs_nothing_from_outside(whole: dict) -> None:
    html = render_html(whole)
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!#)", html)
    assert "url(" not in html
    assert "@import" not in html
    assert "<script" not in html
    assert "http" not in html


def test_each_language_is_whole_and_free_of_the_other(whole: dict) -> None:
    english, chinese = visible(render_html(whole), "en"), visible(render_html(whole), "zh")
    assert not re.findall(r"[\u4e00-\u9fff]+", english.replace("中文", "")), "the switch alone names the other language"
    assert "Online share of sales" not in chinese
    assert "不良贷款率" in chinese
    for heading in ("KPI report", "Numerator", "Guarded by", "in force from", "Previous period"):
        assert heading in english


def test_what_a_bank_wrote_cannot_become_markup() -> None:
    data = report_data(
        [share(48, 100)],
        [],
        only("K1"),
        sample.release(missing=["core|b01|2026-09-15"]),
        names={"b01": "<script>alert(1)</script>"},
    )
    assert "<script" not in render_html(data)


def test_the_json_is_plain_and_says_the_same(whole: dict, tmp_path: Path) -> None:
    path = write_report(whole, tmp_path)
    assert path.name == "kpi_2026-09-15_v1.html"
    assert json.loads(path.with_suffix(".json").read_text("utf-8")) == whole
    assert (tmp_path / "latest.html").read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "kpi_2026-09-15_v1.html",
        "kpi_2026-09-15_v1.json",
        "latest.html",
    ]


def test_latest_is_the_newest_day_whatever_is_written_last(whole: dict, tmp_path: Path) -> None:
    newest = write_report(whole | {"version": 10}, tmp_path).read_bytes()
    write_report(whole | {"version": 9}, tmp_path)
    write_report(whole | {"business_date": "2026-09-14", "version": 12}, tmp_path)
    assert (tmp_path / "latest.html").read_bytes() == newest


def test_a_report_that_cannot_be_written_leaves_the_former_one(
    whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = write_report(whole, tmp_path).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(whole | {"version": 2}, tmp_path)
    assert (tmp_path / "latest.html").read_bytes() == former


def test_the_terminal_shows_the_same_figures(whole: dict) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(kpi_table(whole))
    shown = console.export_text()
    assert re.search(r"K1 Online share of sales +│ 47\.0% .* 45\.0% │ +104\.4% ", shown)
    assert "K41 n/a, K33 n/a, K12 n/a" in shown


@pytest.mark.parametrize("kind", ["provisional", "restated"])
@pytest.mark.parametrize("width", [80, 200])
def test_the_terminal_says_that_a_day_is_provisional_and_names_what_lacks(kind: str, width: int) -> None:
    """C10. A restatement that still lacks something is no less provisional."""
    release = sample.release(kind=kind, cause="close_by", missing=sample.MISSING, received_units=49)
    data = report_data([share(48, 100)], [], only("K1"), release, names=sample.NAMES)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(kpi_table(data, width=width))
    shown = " ".join(console.export_text().split())
    assert "Provisional: 49/51 deliveries have come. Missing: Jinan Old Town: core_balances, core_transactions" in shown


def test_the_terminal_of_a_whole_day_says_nothing_of_the_kind(whole: dict) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(kpi_table(whole))
    assert "Missing" not in console.export_text()


@pytest.mark.parametrize(("language", "said"), [("en", "restated, was 48.0%"), ("zh", "更正，原为 48.0%")])
def test_the_terminal_shows_what_a_restated_figure_was(language: str, said: str) -> None:
    """C8: before and after, side by side."""
    restated = share(50, 100, restatement_no=1, restatement_reason="late")
    release = sample.release(version=2, kind="restated", cause="late")
    for history, expected in (([share(48, 100)], True), ([], False)):
        console = Console(width=240, record=True, file=io.StringIO())
        console.print(kpi_table(report_data([restated], history, only("K1"), release, names=sample.NAMES), language))
        assert (said in console.export_text()) == expected


def closing_in_october(*, released: date, approved_by: str | None = None) -> dict:
    """The 15th of September, of a bank whose months close ten days after their end, as it was released on that day."""
    catalog = only("K1")
    catalog = replace(catalog, profile=catalog.profile.model_copy(update={"month_closes_after": 10}))
    # 00:30 of that day in Shanghai.
    at = datetime(released.year, released.month, released.day, 0, 30, tzinfo=UTC) - timedelta(hours=8)
    release = sample.release(version=2, kind="restated", cause="repaired: b01", released_at=at)
    return report_data([share(48, 100)], [], catalog, release, names=sample.NAMES, approved_by=approved_by)


def test_a_report_of_a_closed_month_says_so_and_who_approved() -> None:
    """D5: the freeze banner."""
    data = closing_in_october(released=date(2026, 10, 11), approved_by="lihua")
    page = render_html(data)
    for language, closed, approved in (
        ("en", "Month closed since 2026-10-11: changes need approval", "Approved by lihua"),
        ("zh", "所属月份已于 2026-10-11 关账：更正须经审批", "审批人：lihua"),
    ):
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(kpi_table(data, language))
        for shown in (visible(page, language), console.export_text()):
            assert closed in shown
            assert approved in shown


def test_until_then_the_report_says_when_it_closes() -> None:
    data = closing_in_october(released=date(2026, 10, 10))
    english = visible(render_html(data), "en")
    assert "Month closes 2026-10-11" in " ".join(english.split())
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(kpi_table(data))
    for shown in (english, console.export_text()):
        assert "closed since" not in shown
        assert "Approved" not in shown


def test_a_bank_whose_months_never_close_says_nothing_of_it(whole: dict) -> None:
    assert "clos" not in visible(render_html(whole), "en").lower()


def test_figures_are_decimals_to_the_end() -> None:
    kpi = k1([share(1, 3) | {"value": Decimal("0.333333"), "numerator": Decimal("1.000000")}])
    assert (kpi["value"], kpi["numerator"]) == ("0.333333", "1")
