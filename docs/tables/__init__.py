"""The tables that `docs/generate.py` writes."""
