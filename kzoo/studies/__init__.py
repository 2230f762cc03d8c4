"""Studies: questions, the runs that answer them, and verdicts on claims from the runs' records (no Keras)."""

from __future__ import annotations

import fnmatch
import functools
import importlib

from kzoo import plugins
from kzoo.errors import InputError, unknown
from kzoo.studies.study import Claim, Entry, Study, Verdict

MODULES = ("report_a", "report_b", "report_c", "report_d", "report_e", "future_work", "fast_training")

_registered: dict[str, Study] = {}

__all__ = ["Claim", "Entry", "Study", "Verdict", "list_studies", "register_study", "study"]


@functools.cache
def _built_in() -> dict[str, Study]:
    modules = [importlib.import_module(f"kzoo.studies.reports.{name}") for name in MODULES]
    return {study.name: study for module in modules for study in module.STUDIES}


def register_study(study: Study) -> Study:
    """Make a study available by its name, which must be new.

    Returns:
        The study, so that a module can define and register it in one statement.

    Raises:
        InputError: another study has the name.
    """
    known = _registered.get(study.name) or _built_in().get(study.name)
    if known is not None and known != study:
        raise InputError(f"study name {study.name!r} is taken by another study")
    _registered[study.name] = study
    return study


def list_studies(pattern: str = "*") -> list[str]:
    """Names of the studies that match a wildcard, in the order of the reports, those of plugins last."""
    plugins.load()
    return fnmatch.filter([*_built_in(), *(name for name in _registered if name not in _built_in())], pattern)


def study(name: str) -> Study:
    """The study with a name.

    Raises:
        InputError: there is none; the message suggests the nearest name.
    """
    plugins.load()
    known = _built_in().get(name) or _registered.get(name)
    if known is None:
        raise unknown("study", name, [*_built_in(), *_registered])
    return known
