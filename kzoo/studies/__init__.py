"""Studies: questions, the runs that answer them, and verdicts on claims from the runs' records (no Keras)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from kzoo.registry import Registry
from kzoo.studies.study import Claim, Entry, Study, Verdict

MODULES = (
    *("report_a", "report_b", "report_c", "report_d", "report_e", "report_e_augmentation"),
    *("future_work", "fast_training"),
)

__all__ = ["Claim", "Entry", "Study", "Verdict", "get_study", "list_studies", "register_study", "study"]


def _built_in() -> Iterator[Study]:
    for name in MODULES:
        yield from importlib.import_module(f"kzoo.studies.reports.{name}").STUDIES


REGISTRY = Registry("study", _built_in, hint="(kzoo study list shows all studies)")


def register_study(study: Study) -> Study:
    """Make a study available by its name, which must be new.

    Returns:
        The study, so that a module can define and register it in one statement.

    Raises:
        InputError: another study has the name.

    Example:
        >>> study = kzoo.get_study("rescue")
        >>> kzoo.register_study(study) is study
        True
    """
    return REGISTRY.add(study)


def list_studies(pattern: str = "*") -> list[str]:
    """Names of the studies that match a wildcard, in the order of the reports; plugins' studies come last.

    Example:
        >>> kzoo.list_studies("resnet-b*")
        ['resnet-blocks']
    """
    return REGISTRY.names(pattern)


def get_study(name: str) -> Study:
    """The study with a name.

    Raises:
        InputError: there is none; the message suggests the nearest name.

    Example:
        >>> kzoo.get_study("rescue").question
        'What lets a 38-layer VGG train?'
    """
    return REGISTRY.get(name)


study = get_study
"""`kzoo.study`, the short name for users."""
