"""`kzoo data get` against a file server on this machine, with a small builder of tensorflow-datasets."""

from __future__ import annotations

import functools
import http.server
import io
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kzoo.data import get
from kzoo.data.loading import load
from kzoo.data.tfds.prepared import find
from kzoo.errors import InputError, RunFailed


class Server(http.server.ThreadingHTTPServer):
    """Serves files and records the requests."""

    asked: list[str]
    url: str
    files: Path


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, form: str, *args: Any) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    files = tmp_path_factory.mktemp("served")
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    np.savez(content, images=rng.integers(0, 256, (12, 8, 8, 1), np.uint8), labels=np.arange(12) % 3)
    (files / "stripes.npz").write_bytes(content.getvalue())
    running = Server(("127.0.0.1", 0), functools.partial(Handler, directory=str(files)))
    running.files, running.asked, running.url = files, [], f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(scope="module")
def builders(server: Server) -> None:
    """Registers two datasets: `tiny_stripes`, and `tiny_broken`, whose file is not served."""
    pytest.importorskip("tensorflow", reason="preparing a dataset needs TensorFlow")
    tfds: Any = pytest.importorskip("tensorflow_datasets", reason="preparing a dataset needs it")
    tfds.disable_progress_bar()

    class TinyStripes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        FILE = "stripes.npz"

        def _info(self) -> Any:
            label = tfds.features.ClassLabel(names=["across", "along", "neither"])
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(8, 8, 1)), "label": label})
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

        def _split_generators(self, dl_manager: Any) -> Any:
            content = np.load(dl_manager.download(f"{server.url}/{self.FILE}"))
            return {"train": self._generate_examples(content["images"], content["labels"])}

        def _generate_examples(self, images: Any, labels: Any) -> Any:
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": image, "label": label}

    class TinyBroken(TinyStripes):
        FILE = "not_there.npz"


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uses no proxy for requests to this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("builders", "local")
def test_only_the_command_in_the_error_downloads(server: Server, nowhere: Path, tmp_path: Path, command: Any) -> None:
    with pytest.raises(InputError) as caught:
        load("tfds:tiny_stripes", data_dir=tmp_path / "data")
    assert server.asked == []
    words = shlex.split(str(caught.value).split("`")[1])
    assert words[:3] == ["kzoo", "data", "get"]
    code, text, errors = command(*words[1:])
    assert code == 0, errors
    assert "tfds:tiny_stripes: prepared in" in text
    images = np.load(server.files / "stripes.npz")["images"] / 255
    measured = (
        f"mean {images.mean():.4g} and standard deviation {images.std():.4g} were measured on its training images"
    )
    assert f"Arrays(12 images of 8x8x1, 3 classes); {measured}" in text
    assert server.asked == ["/stripes.npz"]
    assert load("tfds:tiny_stripes", data_dir=tmp_path / "data").class_names == ("across", "along", "neither")

    # The second time, nothing is downloaded; the directory was stored, so it need not be named again.
    code, text, _ = command("data", "get", "tiny_stripes")
    assert (code, "tfds:tiny_stripes: already in" in text) == (0, True)
    assert load("tfds:tiny_stripes").images.shape == (12, 8, 8, 1)
    assert server.asked == ["/stripes.npz"]


@pytest.mark.usefixtures("builders", "local")
def test_a_failed_download_is_one_line_and_leaves_nothing(tmp_path: Path, command: Any) -> None:
    code, _, errors = command("data", "get", "tiny_broken", "--data-dir", tmp_path)
    assert code == 1
    assert "error: dataset 'tiny_broken' could not be downloaded or prepared: " in errors
    assert "404" in errors
    assert "Traceback" not in errors
    assert find("tiny_broken", tmp_path) is None
    with pytest.raises(RunFailed, match="could not be downloaded or prepared"):
        get("tiny_broken", tmp_path)


@pytest.mark.usefixtures("builders")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digits", "comes with scikit-learn: there is nothing to get"),
        ("folder:here", "is a custom dataset: there is nothing to get"),
        ("cifar11", "unknown dataset 'cifar11': did you mean 'cifar10'"),
        ("tfds:tiny_stripe", "has no dataset 'tiny_stripe': did you mean 'tiny_stripes'"),
        ("tiny_stripes/large", "dataset 'tiny_stripes' has no configurations: leave /large out"),
        ("emnist/digit", "dataset 'emnist' has no configuration 'digit': name one, as emnist/digits; there are "),
        ("tfds:cifar10_corrupted", "'cifar10_corrupted' comes in 95 configurations: name one, as cifar10-c/"),
    ],
)
def test_what_cannot_be_downloaded_is_one_error(
    name: str, message: str, nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cifar10" / "3.0.2").mkdir(parents=True)  # networks for cifar10-c train on cifar10: present
    (tmp_path / "cifar10" / "3.0.2" / "dataset_info.json").write_text("{}")
    with pytest.raises(InputError) as caught:
        get(name, tmp_path)
    assert message in str(caught.value)
