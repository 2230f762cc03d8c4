"""The page of a run, of several side by side, and of a study: one HTML file, its numbers from records."""

from __future__ import annotations

from kzoo.pages.comparison import compare_page
from kzoo.pages.run import run_page
from kzoo.pages.study import study_page

__all__ = ["compare_page", "run_page", "study_page"]
