"""The page of a run and of a study: one HTML file that needs nothing else, its numbers from records."""

from __future__ import annotations

from kzoo.pages.run import run_page
from kzoo.pages.study import study_page

__all__ = ["run_page", "study_page"]
