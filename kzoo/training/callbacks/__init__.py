"""The callbacks that kzoo adds to a run."""
