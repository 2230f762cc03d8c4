"""kzoo: a small-image model zoo for Keras.

    import kzoo

    kzoo.list_models("vgg38*")
    model = kzoo.VGG38(batch_norm=True, residual=True, classes=100)
    run = kzoo.train("vgg08-bn", dataset="digits", epochs=5)

Importing kzoo imports neither Keras nor a backend: names that need them are loaded on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kzoo._version import __version__
from kzoo.backend import choose_backend as _choose_backend
from kzoo.backend import quiet_import as _quiet_import
from kzoo.lazy import Exports as _Exports
from kzoo.models.catalog import BUILDERS as _BUILDERS
from kzoo.registry import HOMES as _HOMES

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

_EXPORTS = _Exports(
    __name__,
    {
        "custom": ("register_augmentation", "register_optimizer", "register_schedule"),
        "data.datasets": ("get_dataset", "list_datasets", "register_dataset"),
        "diagnostics.activations": ("activation_statistics", "plot_activations", "signal_propagation"),
        "diagnostics.calibration": ("calibration",),
        "diagnostics.confusion": ("confusion",),
        "diagnostics.curves": ("plot_learning_curves",),
        "diagnostics.diagram": ("architecture_diagram", "save_diagram"),
        "diagnostics.doctor": ("doctor",),
        "diagnostics.receptive_field.effective": ("effective_field",),
        "diagnostics.feature_maps": ("feature_maps",),
        "diagnostics.grad_cam": ("grad_cam",),
        "diagnostics.gradient_flow": ("GradientFlowCallback", "gradient_flow"),
        "diagnostics.invariance": ("invariance",),
        "introspection.layer_table": ("layer_table",),
        "diagnostics.plots": ("save_figure",),
        "training.recorders.weight_histograms": ("weight_histograms",),
        "errors": ("InputError", "KzooError", "RunFailed"),
        "exporting.export": ("export",),
        "exporting.fold": ("fold_batch_norm",),
        "models": tuple(name for names in _BUILDERS.values() for name in names),
        "models.registry": ("create_model", "list_models", "register_model"),
        "models.transfer": ("feature_extractor", "top_k"),
        "models.weight_sets": ("list_weights",),
        "html_report": ("compare_page", "run_page", "study_page"),
        "recipes": ("Recipe", "get_recipe", "list_recipes", "recipe", "register_recipe"),
        "search.hypermodel": ("RecipeHyperModel",),
        "search.results": ("read_search",),
        "search.running": ("run_search",),
        "search.search": ("Search", "load_search"),
        "search.space": ("Choice", "IntRange", "Range"),
        "studies": ("Claim", "Entry", "Study", "get_study", "list_studies", "register_study", "study"),
        "studies.run_comparison": ("compare",),
        "studies.running": ("run_study",),
        "training.listing": ("runs",),
        "training.publishing": ("save_weights_set",),
        "training.train": ("resume", "train"),
        "training.run": ("Run",),
        "training.seeds": ("train_seeds",),
    },
)

__all__ = ["__version__", *_EXPORTS.home]

_HOMES.update(model="kzoo.models.registry", recipe="kzoo.recipes", dataset="kzoo.data.datasets", study="kzoo.studies")

_choose_backend()


def __getattr__(name: str) -> Any:
    return _EXPORTS.load(name, _quiet_import)


def __dir__() -> list[str]:
    return _EXPORTS.names()
