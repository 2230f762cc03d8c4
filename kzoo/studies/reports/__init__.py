"""The studies: one or two modules for each report, one for the reports' future work, and one for short training."""
