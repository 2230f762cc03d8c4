"""Gradient flow: measured once, recorded by a callback, and drawn. Drawing loads neither Keras nor a backend."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kzoo.diagnostics.gradient_flow.plots import plot_gradient_flow, plot_gradient_heatmap, plot_update_ratio
from kzoo.training.recorders.flow_history import FlowHistory

if TYPE_CHECKING:
    from kzoo.diagnostics.gradient_flow.measure import GradientFlow, gradient_flow
    from kzoo.training.recorders.gradient_flow import GradientFlowCallback

__all__ = [
    "FlowHistory",
    "GradientFlow",
    "GradientFlowCallback",
    "gradient_flow",
    "plot_gradient_flow",
    "plot_gradient_heatmap",
    "plot_update_ratio",
]


def __getattr__(name: str) -> Any:
    """Import modules that need Keras on first use."""
    if name in ("GradientFlow", "gradient_flow"):
        return getattr(importlib.import_module("kzoo.diagnostics.gradient_flow.measure"), name)
    if name == "GradientFlowCallback":
        return importlib.import_module("kzoo.training.recorders.gradient_flow").GradientFlowCallback
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
