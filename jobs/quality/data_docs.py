"""Data Docs: one page a gate result, by Great Expectations' own renderers; only the new result is rendered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.quality.gate import Gate


def render(gate: Gate, path: Path) -> Path:
    """Write the page. It works offline: links to style sheets and scripts of other hosts are taken out."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    result = ExpectationSuiteValidationResultSchema().load(gate.result)
    page = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result))
    page = re.sub(r"<(script|link)[^>]+(https?:)?//[^>]+>(\s*</script>)?", "", page)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(path)
    return path
