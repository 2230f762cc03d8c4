"""The plain Keras column of docs/steps.md; tests/docs/test_steps.py runs it from top to bottom, on small data.

Each ``# [N]`` starts the listing of a step. The code before the first one is assumed to exist and is not counted.
"""

import pathlib
import time

import keras
import keras_tuner
import matplotlib.pyplot as pyplot
import numpy
import onnxruntime
import sklearn.metrics
import tensorflow as tf
import tensorflow_datasets as tfds
from keras import layers
from keras.callbacks import ModelCheckpoint

names = ["one", "two", "three"]  # of runs whose curves CSVLogger wrote
class_names = ["cat", "dog"]


def darker(images):
    """A custom augmentation."""
    return images * 0.7


def make_model():
    """Lines 3 to 7 of step 1."""
    inputs = keras.Input((32, 32, 3))
    changed = layers.RandomFlip("horizontal")(layers.RandomTranslation(0.1, 0.1)(inputs))
    body = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=10)
    model = keras.Model(inputs, body(layers.Rescaling(1 / 255)(changed)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# [1]
(x, y), (x_test, y_test) = keras.datasets.cifar10.load_data()
x_val, y_val, x, y = x[:5000], y[:5000], x[5000:], y[5000:]
inputs = keras.Input((32, 32, 3))
changed = layers.RandomFlip("horizontal")(layers.RandomTranslation(0.1, 0.1)(inputs))
body = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=10)
model = keras.Model(inputs, body(layers.Rescaling(1 / 255)(changed)))
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
best = ModelCheckpoint("best.keras", "val_accuracy", save_best_only=True)
held_back = (x_val, y_val)
model.fit(x, y, epochs=20, batch_size=128, validation_data=held_back, callbacks=[best])
model = keras.saving.load_model("best.keras")
model.evaluate(x_test, y_test)

# [2]
backup = keras.callbacks.BackupAndRestore("backup", save_freq=100)
model.fit(x, y, epochs=20, validation_data=held_back, callbacks=[best, backup])

# [3]
for name in names:
    history = numpy.genfromtxt(f"{name}.csv", delimiter=",", names=True)
    pyplot.plot(history["val_accuracy"], label=name)
pyplot.legend()
pyplot.savefig("compared.svg")

# [4]
scores = []
for seed in (0, 1, 2):
    keras.utils.set_random_seed(seed)
    model = make_model()  # lines 3 to 7 of step 1
    model.fit(x, y, epochs=20, validation_data=held_back, callbacks=[best])
    scores.append(keras.saving.load_model("best.keras").evaluate(x_test, y_test)[1])
print(numpy.mean(scores), numpy.std(scores, ddof=1))

# [5]
changed = layers.Lambda(darker)(layers.RandomFlip()(inputs))

# [6]
split = ["train[:90%]", "train[90%:]", "test"]
loaded = tfds.load("svhn_cropped", split=split, as_supervised=True, data_dir="data")
train, validation, test = (part.batch(128) for part in loaded)
model.fit(train.shuffle(100), validation_data=validation, epochs=20)

# [7]
size = {"image_size": (224, 224), "batch_size": 32}
train, validation = keras.utils.image_dataset_from_directory(
    "pictures",
    validation_split=0.2,
    subset="both",
    seed=0,
    **size,
)
body = keras.applications.MobileNetV3Small(include_top=False, pooling="avg")
body.trainable = False
tuned = keras.Sequential([body, layers.Dense(len(train.class_names), "softmax")])
tuned.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
tuned.fit(train, validation_data=validation, epochs=5)

# [8]
for path in sorted(pathlib.Path("pictures").rglob("*.png")):
    image = keras.utils.load_img(path, target_size=(224, 224))
    shares = tuned.predict(keras.utils.img_to_array(image)[None], verbose=0)[0]
    print(path, class_names[shares.argmax()], shares.max())

# [9]
answers = model.predict(x_test).argmax(-1)
shown = sklearn.metrics.ConfusionMatrixDisplay.from_predictions(y_test.ravel(), answers)
shown.figure_.savefig("confusion.png")


# [10]
def build(hp):
    model = make_model()  # lines 3 to 6 of step 1
    rate = hp.Float("rate", 1e-4, 1e-1, sampling="log")
    adam = keras.optimizers.Adam(rate)
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


tuner = keras_tuner.BayesianOptimization(build, "val_accuracy", max_trials=20)
tuner.search(x, y, epochs=20, validation_data=held_back)

# [11]
with tf.GradientTape() as tape:
    loss = keras.losses.sparse_categorical_crossentropy(y[:64], model(x[:64]))
gradients = tape.gradient(loss, model.trainable_variables)
sizes = [float(tf.reduce_mean(tf.abs(gradient))) for gradient in gradients]
pyplot.figure()
pyplot.semilogy(sizes)
pyplot.savefig("gradients.svg")

# [12]
body = model.get_layer("resnet50")
cam = keras.Model(body.input, [body.get_layer("conv4_block6_out").output, body.output])
for path in sorted(pathlib.Path("pictures").rglob("*.png")):
    image = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(32, 32)))
    with tf.GradientTape() as tape:
        maps, shares = cam(image[None] / 255)
        top = tf.reduce_max(shares[0])
    weights = tf.reduce_mean(tape.gradient(top, maps), (1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, -1))[0]
    heat = tf.image.resize(heat[..., None], (32, 32))[..., 0]
    pyplot.imsave(f"{path.stem}-map.png", heat)

# [13]
# Without the augmentation, whose random operations make an invalid ONNX file.
served = keras.Sequential([keras.Input((32, 32, 3)), *model.layers[-2:]])
expected = served.predict(x_test[:64])
served.export("model.onnx", format="onnx")
session = onnxruntime.InferenceSession("model.onnx")
name = session.get_inputs()[0].name
(outputs,) = session.run(None, {name: x_test[:64].astype("float32")})
numpy.testing.assert_allclose(outputs, expected, atol=1e-4)

# [14]
for batch in (1, 64):
    images = x_test[:batch].astype("float32")
    model(images, training=False)
    start = time.perf_counter()
    for _ in range(50):
        numpy.asarray(model(images, training=False))
    seconds = (time.perf_counter() - start) / 50
    print(batch, seconds, batch / seconds)
