"""kzoo: a small-image model zoo for Keras.

    import kzoo

    kzoo.list_models("vgg38*")
    model = kzoo.VGG38(batch_norm=True, residual=True, classes=100)
    run = kzoo.train("vgg08-bn", dataset="digits", epochs=5)

Importing kzoo imports neither Keras nor a backend; what needs them is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kzoo._version import __version__
from kzoo.backend import choose_backend as _choose_backend
from kzoo.backend import quiet_import as _quiet_import
from kzoo.models.catalog import BUILDERS as _BUILDERS

if TYPE_CHECKING:
    from kzoo.custom import register_augmentation, register_optimizer, register_schedule
    from kzoo.data.datasets import get_dataset, list_datasets, register_dataset
    from kzoo.diagnostics.activations import activation_statistics, plot_activations, signal_propagation
    from kzoo.diagnostics.calibration import calibration
    from kzoo.diagnostics.confusion import confusion
    from kzoo.diagnostics.curves import plot_learning_curves
    from kzoo.diagnostics.diagram import architecture_diagram, save_diagram
    from kzoo.diagnostics.doctor import doctor
    from kzoo.diagnostics.feature_maps import feature_maps
    from kzoo.diagnostics.grad_cam import grad_cam
    from kzoo.diagnostics.gradient_flow import GradientFlowCallback, gradient_flow
    from kzoo.diagnostics.invariance import invariance
    from kzoo.diagnostics.plots import save_figure
    from kzoo.diagnostics.receptive_field.effective import effective_field
    from kzoo.errors import InputError, KzooError, RunFailed
    from kzoo.exporting.export import export
    from kzoo.exporting.fold import fold_batch_norm
    from kzoo.html_report import compare_page, run_page, study_page
    from kzoo.introspection.layer_table import layer_table
    from kzoo.models import (
        MLP,
        VGG,
        VGG08,
        VGG38,
        VGGA,
        VGGADE,
        VGGD,
        VGGE,
        DenseNet,
        FastNet,
        FastNetL,
        FastNetM,
        FastNetS,
        LeNet,
        ResNet,
        ResNet10,
        ResNet16,
        ResNet24,
        ResNet48,
    )
    from kzoo.models.registry import create_model, list_models, register_model
    from kzoo.models.transfer import feature_extractor, top_k
    from kzoo.models.weight_sets import list_weights
    from kzoo.recipes import Recipe, get_recipe, list_recipes, recipe, register_recipe
    from kzoo.search.hypermodel import RecipeHyperModel
    from kzoo.search.results import read_search
    from kzoo.search.running import run_search
    from kzoo.search.search import Search, load_search
    from kzoo.search.space import Choice, IntRange, Range
    from kzoo.studies import Claim, Entry, Study, get_study, list_studies, register_study, study  # type: ignore[no-redef]
    from kzoo.studies.run_comparison import compare
    from kzoo.studies.running import run_study
    from kzoo.training.listing import runs
    from kzoo.training.publishing import save_weights_set
    from kzoo.training.recorders.weight_histograms import weight_histograms
    from kzoo.training.run import Run
    from kzoo.training.seeds import train_seeds
    from kzoo.training.train import resume, train

_MODULES = {
    "kzoo.custom": ("register_augmentation", "register_optimizer", "register_schedule"),
    "kzoo.data.datasets": ("get_dataset", "list_datasets", "register_dataset"),
    "kzoo.diagnostics.activations": ("activation_statistics", "plot_activations", "signal_propagation"),
    "kzoo.diagnostics.calibration": ("calibration",),
    "kzoo.diagnostics.confusion": ("confusion",),
    "kzoo.diagnostics.curves": ("plot_learning_curves",),
    "kzoo.diagnostics.diagram": ("architecture_diagram", "save_diagram"),
    "kzoo.diagnostics.doctor": ("doctor",),
    "kzoo.diagnostics.receptive_field.effective": ("effective_field",),
    "kzoo.diagnostics.feature_maps": ("feature_maps",),
    "kzoo.diagnostics.grad_cam": ("grad_cam",),
    "kzoo.diagnostics.gradient_flow": ("GradientFlowCallback", "gradient_flow"),
    "kzoo.diagnostics.invariance": ("invariance",),
    "kzoo.introspection.layer_table": ("layer_table",),
    "kzoo.diagnostics.plots": ("save_figure",),
    "kzoo.training.recorders.weight_histograms": ("weight_histograms",),
    "kzoo.errors": ("InputError", "KzooError", "RunFailed"),
    "kzoo.exporting.export": ("export",),
    "kzoo.exporting.fold": ("fold_batch_norm",),
    "kzoo.models": tuple(name for names in _BUILDERS.values() for name in names),
    "kzoo.models.registry": ("create_model", "list_models", "register_model"),
    "kzoo.models.transfer": ("feature_extractor", "top_k"),
    "kzoo.models.weight_sets": ("list_weights",),
    "kzoo.html_report": ("compare_page", "run_page", "study_page"),
    "kzoo.recipes": ("Recipe", "get_recipe", "list_recipes", "recipe", "register_recipe"),
    "kzoo.search.hypermodel": ("RecipeHyperModel",),
    "kzoo.search.results": ("read_search",),
    "kzoo.search.running": ("run_search",),
    "kzoo.search.search": ("Search", "load_search"),
    "kzoo.search.space": ("Choice", "IntRange", "Range"),
    "kzoo.studies": ("Claim", "Entry", "Study", "get_study", "list_studies", "register_study", "study"),
    "kzoo.studies.run_comparison": ("compare",),
    "kzoo.studies.running": ("run_study",),
    "kzoo.training.listing": ("runs",),
    "kzoo.training.publishing": ("save_weights_set",),
    "kzoo.training.train": ("resume", "train"),
    "kzoo.training.run": ("Run",),
    "kzoo.training.seeds": ("train_seeds",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = ["__version__", *_HOME]

_choose_backend()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kzoo' has no attribute {name!r}")
    with _quiet_import():
        value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
