"""Pages of a run, of several runs side by side, and of a study: one HTML file each, with numbers from the records."""

from __future__ import annotations

from kzoo.html_report.comparison import compare_page
from kzoo.html_report.run import run_page
from kzoo.html_report.study import study_page

__all__ = ["compare_page", "run_page", "study_page"]
