"""Datasets of tensorflow-datasets: their names, where they are prepared, what they hold, and downloading them."""
