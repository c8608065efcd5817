"""Great Expectations' page of a gate result, which says how bad each broken promise is and what the gate did.

Their renderer knows two words, Succeeded and Failed, whatever the severity of an expectation; its icons and its status line are replaced, the rest is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
from great_expectations.render import RenderedStringTemplateContent
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.renderer.content_block import ValidationResultsTableContentBlockRenderer

KEPT, WARNED, FAILED = (
    ("fa-check-circle", "text-success"),
    ("fa-exclamation-triangle", "text-warning"),
    ("fa-times", "text-danger"),
)
# Outcome of a gate -> its sign, and what became of the data.
OUTCOMES = {
    "pass": (KEPT, "Passed: it goes on"),
    "warn": (WARNED, "Passed with warnings: it goes on"),
    "hold": (FAILED, "Held: a person decides whether it goes on"),
    "stop": (FAILED, "Stopped: nothing of it goes on"),
}
# `onFail` of a broken rule -> its sign, and what it did.
BROKEN = {
    "warn": (WARNED, "warning"),
    "quarantine": (WARNED, "rows kept aside"),
    "hold": (FAILED, "held"),
    "stop": (FAILED, "stopped"),
}


def in_words(outcome: str, failed: Sequence[Mapping[str, Any]]) -> str:
    """What became of the data. `failed`: the broken rules (jobs.quality.gate.Gate.failed)."""
    goes_on = outcome in ("pass", "warn")
    without = any(one["on_fail"] == "quarantine" for one in failed)
    return f"{OUTCOMES[outcome][1]}{', without the rows that were kept aside' if goes_on and without else ''}."


class ResultTable(ValidationResultsTableContentBlockRenderer):
    @classmethod
    def _get_content_block_fn(cls, expectation_type: str, expectation_config: Any = None) -> Callable[..., Any] | None:
        theirs = super()._get_content_block_fn(expectation_type, expectation_config)

        def row(**kwargs: Any) -> Any:
            assert theirs is not None  # it falls back to one for expectations that it does not know
            rows, result = theirs(**kwargs), kwargs["result"]
            if not result.success:
                rows[0][0] = _sign(result.expectation_config.meta["onFail"])
            return rows

        return row


def _sign(on_fail: str) -> RenderedStringTemplateContent:
    classes, word = BROKEN[on_fail]
    icon = {"tag": "i", "classes": ["fas", *classes]}
    template = {"template": "$icon $word", "params": {"icon": "", "word": word}, "styling": {"params": {"icon": icon}}}
    return RenderedStringTemplateContent(content_block_type="string_template", string_template=template)


class ResultPage(ValidationResultsPageRenderer):
    """`table`: what was judged. `outcome`: what became of the data in the end, by the gate or by what else was looked at with it; `words`: the same in a sentence."""

    def __init__(self, table: str, outcome: str, words: str) -> None:
        renderer = {"class_name": ResultTable.__name__, "module_name": __name__}
        super().__init__({"class_name": "ValidationResultsColumnSectionRenderer", "table_renderer": renderer})
        self._table = table
        self._sign, self._words = OUTCOMES[outcome][0], words

    def _render_validation_header(self, validation_results: ExpectationSuiteValidationResult) -> Any:  # type: ignore[override]
        header = super()._render_validation_header(validation_results)
        icon = f'<i class="fas {" ".join(self._sign)}" aria-hidden="true"></i>'
        header.subheader.string_template["params"] |= {
            "html_success_icon": icon,
            "success": self._words,
            "data_asset_name": self._table,
        }
        return header
