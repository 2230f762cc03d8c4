"""Confusion counts: dense for up to 200 classes, sparse above (no Keras)."""

from __future__ import annotations

from typing import Any

from kzoo.lazy import np

DENSE = 200
"""Largest number of classes for which a record holds the whole matrix."""

Counts = list[list[int]] | dict[str, Any]
"""Rows of a matrix, or ``{"classes": n, "cells": [[true, predicted, images], ...]}`` with the cells that are not 0."""


def count(labels: np.ndarray, predicted: np.ndarray, classes: int) -> Any:
    """Images by true class (rows) and predicted class: an array int64 (classes, classes), sparse above `DENSE`."""
    from scipy.sparse import csr_array  # here and below: importing it takes longer than reading a study's claims

    ones = np.ones(len(labels), np.int64)
    matrix = csr_array((ones, (np.asarray(labels), np.asarray(predicted))), shape=(classes, classes))
    return matrix.toarray() if classes <= DENSE else matrix


def to_json(matrix: Any) -> Counts:
    """A matrix as JSON data."""
    from scipy.sparse import issparse

    if not issparse(matrix):
        return [[int(value) for value in row] for row in matrix]
    cells = matrix.tocoo()
    order = np.lexsort((cells.col, cells.row))
    entries = np.stack([cells.row, cells.col, cells.data], axis=1)[order]
    return {"classes": matrix.shape[0], "cells": entries.tolist()}


def from_json(counts: Counts) -> Any:
    """The matrix of JSON data, dense or sparse as it was written."""
    from scipy.sparse import csr_array

    if not isinstance(counts, dict):
        return np.asarray(counts, np.int64)
    cells = np.asarray(counts["cells"], np.int64).reshape(-1, 3)
    return csr_array((cells[:, 2], (cells[:, 0], cells[:, 1])), shape=(counts["classes"],) * 2)
