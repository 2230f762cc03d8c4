"""How batches reach Keras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from kzoo.data.batches import Batches


def feed(batches: Batches) -> Any:
    """What to give `fit` or `predict` for these batches, as they are positioned when iteration begins.

    On TensorFlow, Keras would read them through a `tf.data` pipeline with autotuning. At the end of each epoch, this
    pipeline waits for its tuning thread, which sleeps for up to a minute. TensorFlow wakes it before it marks the
    pipeline as cancelled (`CancellationManager::StartCancel`), so the thread sometimes goes back to sleep, and training
    stops until it wakes up. Runs of ten epochs on two cores lost up to 80 seconds. Without autotuning there is no such
    thread. There is nothing to tune either: one batch is prepared while the last one trains.
    """
    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    def ordered() -> Iterator[tuple[Any, ...]]:
        for index in range(len(batches)):
            yield batches[index]

    signature = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0])
    dataset = tf.data.Dataset.from_generator(ordered, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(1).apply(tf.data.experimental.assert_cardinality(len(batches))).with_options(options)
