"""Run as a child process on a backend: compute the gradients of saved models; on TensorFlow, also finite differences.

python gradients_child.py FOLDER     (reads float32.keras, float64.keras and data.npz, writes BACKEND-DTYPE.npz)
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kzoo.introspection.gradients import LossProbe, activation_gradients, input_gradients


def score(outputs):
    return ops.log(outputs[:, 1])


def measured(model, images, labels) -> dict[str, np.ndarray]:
    values = {}
    for training in (True, False):
        loss, gradients = LossProbe(model, images, labels, training=training)()  # compiled
        values[f"loss {training}"] = np.array(loss)
        values |= {f"{v.path} {training}": g for v, g in zip(model.trainable_variables, gradients, strict=True)}
    values["activations"], values["by activation"] = activation_gradients(model, "second", images, score)
    values["by input"] = input_gradients(model, images, score)
    return values


def differences(model, images, labels, step=1e-7) -> dict[str, np.ndarray]:
    """Derivatives along a random direction of each weight: by the gradient, and by central differences."""
    rng = np.random.default_rng(3)
    probe = LossProbe(model, images, labels)
    _, gradients = probe()
    pairs = []
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        value, direction = np.array(ops.convert_to_numpy(variable)), rng.normal(size=variable.shape)
        losses = []
        for sign in (1, -1):
            variable.assign(value + sign * step * direction)
            losses.append(probe().loss)
        variable.assign(value)
        pairs.append([(gradient * direction).sum(), (losses[0] - losses[1]) / (2 * step)])
    direction = rng.normal(size=images.shape)
    # One unit of a pixel becomes 1/64 of a unit after the first layer.
    ends = [ops.convert_to_tensor(images + sign * 64 * step * direction) for sign in (1, -1)]
    sums = [float(ops.sum(score(model(end)))) for end in ends]
    along = (input_gradients(model, images, score) * direction).sum()
    return {"weights": np.array(pairs), "input": np.array([along, (sums[0] - sums[1]) / (128 * step)])}


def main() -> None:
    folder = Path(sys.argv[1])
    data = np.load(folder / "data.npz")
    for dtype in ("float32", "float64"):
        model = keras.saving.load_model(folder / f"{dtype}.keras", compile=False)
        images, labels = data["images"].astype(dtype), data["labels"]
        values = measured(model, images, labels)
        assert all(value.dtype == dtype for key, value in values.items() if not key.startswith("loss"))
        if dtype == "float64" and keras.backend.backend() == "tensorflow":
            values |= {f"difference {key}": value for key, value in differences(model, images, labels).items()}
        np.savez(folder / f"{keras.backend.backend()}-{dtype}.npz", **values)


if __name__ == "__main__":
    main()
