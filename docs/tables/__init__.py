"""The functions that generate the tables of `docs/generate.py`."""
