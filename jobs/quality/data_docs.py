"""Data Docs: one page a gate result, by Great Expectations' own renderers; only the new result is rendered.

The pages work offline: what would be fetched from other hosts is taken out, and a small style sheet stands in.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from great_expectations.render.view import DefaultJinjaPageView

    from jobs.quality.gate import Gate

# Elements that point to another host or to files that a page alone does not have; scripts and styles build on such.
FOREIGN = (
    re.compile(r"<script\b.*?</script>", re.S | re.I),
    re.compile(r"<style\b.*?</style>", re.S | re.I),
    re.compile(r"<footer\b.*?</footer>", re.S | re.I),
    re.compile(r"<link\b[^>]*>", re.S | re.I),
    re.compile(r"<img\b[^>]*>", re.S | re.I),
    re.compile(r"<a\b[^>]*\bhref=[\"']?(?:https?:)?//.*?</a>", re.S | re.I),
    re.compile(r"@import[^;]+;", re.I),
    re.compile(r"url\([\"']?(?:https?:)?//[^)]*\)", re.I),
    re.compile(r"<section\b[^>]*id=[\"']?data-docs-cta.*?</section>", re.S | re.I),
)
STYLE = """<style>
body{font:15px/1.5 system-ui,"Noto Sans SC","WenQuanYi Micro Hei",sans-serif;margin:2rem auto;max-width:76rem}
body{padding:0 1rem;color:#222;background:#fff}table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{border:1px solid #ccc;padding:.35rem .6rem;text-align:left;vertical-align:top}
.fa-check-circle::before{content:"\\2714";color:#1a7f37}.fa-times::before{content:"\\2718";color:#b42318}
.fa-exclamation-triangle::before{content:"\\26a0";color:#9a6700}
.collapse{display:block}nav,.sticky,.modal,.d-none{display:none}@media print{body{margin:0;max-width:none}}
</style>"""


def render(gate: Gate, path: Path, outcome: str, why: str) -> Path:
    """Write the page of one gate result. `outcome` and `why`: what became of the data in the end, for its balance is looked at too."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema

    from jobs.quality.result_page import BROKEN, ResultPage, in_words

    result = ExpectationSuiteValidationResultSchema().load(gate.result)
    result.meta["run_id"] = {"run_name": gate.subject, "run_time": datetime.now(UTC).isoformat()}
    words = in_words(outcome, gate.failed)
    page = _view().render(ResultPage(gate.table, outcome, words).render(result))
    said = "".join(
        f"<li><b>{html.escape(BROKEN[f['on_fail']][1])}</b> {html.escape(f['rule'])}: {html.escape(f['sentence'])}</li>"
        for f in gate.failed
    )
    reason = "" if outcome == gate.outcome else f"<p>{html.escape(why)}</p>"
    head = (
        f"<h1>{html.escape(gate.table)}: {html.escape(outcome)}</h1><p>{html.escape(words)}</p>{reason}"
        f"<p>{html.escape(gate.subject)}, {gate.rules_run} rules</p><ul>{said}</ul>"
    )
    return _write(path, _with(offline(page), head))


def compile_templates() -> None:
    """Before many processes are forked: each would compile them anew."""
    environment = _view().env
    for name in environment.list_templates(extensions=["j2"]):
        environment.get_template(name)


@cache
def _view() -> DefaultJinjaPageView:
    """One for all pages: it compiles its templates when they are first used, which takes longer than to render a page."""
    from great_expectations.render.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def index(folder: Path, entries: Iterable[tuple[str, str, str, str, Path]]) -> Path:
    """`index.html` of the folder: the given results (evaluated at by the bank's clock, table, subject, outcome, page), newest first."""
    rows = "".join(
        f"<tr><td>{at}</td><td>{html.escape(table)}</td><td>{html.escape(subject)}</td>"
        f"<td>{html.escape(outcome)}</td><td><a href='{quote(page.name)}'>result</a></td></tr>"
        for at, table, subject, outcome, page in sorted(entries, key=lambda entry: entry[0], reverse=True)
    )
    heads = "".join(f"<th>{name}</th>" for name in ("when", "table", "of", "outcome", ""))
    page = f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Gates</title>{STYLE}</head><body>"
    return _write(folder / "index.html", f"{page}<h1>Gates</h1><table><tr>{heads}</tr>{rows}</table></body></html>")


def offline(page: str) -> str:
    """The page without anything that another host or another file would have to give."""
    for foreign in FOREIGN:
        page = foreign.sub("", page)
    return re.sub(r"<a\b[^>]*href=[\"']\.\./[^>]*>(.*?)</a>", r"\1", page, flags=re.S)


def _with(page: str, head: str) -> str:
    page = re.sub(r"</head>", lambda _: f"{STYLE}</head>", page, count=1, flags=re.I)
    return re.sub(r"<body[^>]*>", lambda body: f"{body[0]}{head}", page, count=1, flags=re.I)


def _write(path: Path, page: str) -> Path:
    """Whole or not at all: a reader never sees half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(path)
    return path
