"""The studies themselves: one module for each report, one for the reports' future work, one for fast training."""
