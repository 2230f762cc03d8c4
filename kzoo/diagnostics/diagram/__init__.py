"""Architecture diagrams as SVG."""

from kzoo.diagnostics.diagram.diagram import architecture_diagram, save_diagram

__all__ = ["architecture_diagram", "save_diagram"]
