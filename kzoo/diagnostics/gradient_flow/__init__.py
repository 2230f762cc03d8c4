"""Gradient flow: measured once, recorded by a callback, and drawn."""

from kzoo.diagnostics.gradient_flow.measure import GradientFlow, gradient_flow
from kzoo.diagnostics.gradient_flow.plots import plot_gradient_flow, plot_gradient_heatmap, plot_update_ratio
from kzoo.training.recorders.flow_history import FlowHistory
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
