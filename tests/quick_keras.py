"""What Keras does that costs a small test more than what it tests, done at less cost and to the same end."""

import contextlib
import functools
import sys


def remember_what_saving_leaves_out():
    """Keras makes a layer for each layer that it saves or loads, to see which attributes every layer has; one will do.

    It means to keep their names, but looks for them under another key (`get_attr_skipset` in Keras 3.15). Nothing
    happens where Keras is not loaded, or has no such function.
    """
    saving = sys.modules.get("keras.src.saving.saving_lib")
    if hasattr(saving, "get_attr_skipset") and not hasattr(saving.get_attr_skipset, "cache_info"):
        saving.get_attr_skipset = functools.cache(saving.get_attr_skipset)


@contextlib.contextmanager
def batches_read_directly(directly):
    """On TensorFlow, `directly` says whether Keras reads batches as they are, not through a `tf.data.Dataset`.

    A dataset's graphs take a fifth of the time of a run of a few steps. The batches and their order are the same, so
    arrays that are shuffled, and whatever is neither arrays nor a `keras.utils.PyDataset`, are read as ever.
    """
    from keras.src.backend.tensorflow import trainer

    before = trainer.TFEpochIterator
    trainer.TFEpochIterator = _direct() if directly else _of_keras()
    try:
        yield
    finally:
        trainer.TFEpochIterator = before


@functools.cache
def _of_keras():
    from keras.src.backend.tensorflow import trainer

    return trainer.TFEpochIterator


@functools.cache
def _direct():
    import tensorflow as tf
    from keras import tree
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter
    from keras.src.trainers.epoch_iterator import EpochIterator

    class Direct(_of_keras()):
        def __init__(self, distribute_strategy=None, **options):
            EpochIterator.__init__(self, **options)
            adapter = self.data_adapter
            arrays = isinstance(adapter, ArrayDataAdapter) and not adapter._shuffle
            self.direct = arrays or (isinstance(adapter, PyDatasetAdapter) and adapter.enqueuer is None)
            if not self.direct:
                super().__init__(distribute_strategy, **options)

        def _get_iterator(self):
            if not self.direct:
                return super()._get_iterator()
            return (tree.map_structure(tensor, batch) for batch in self.data_adapter.get_numpy_iterator())

    def tensor(values):
        return None if values is None else tf.convert_to_tensor(values)

    return Direct
