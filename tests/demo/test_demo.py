"""The page for drawing: the same answers as from `kzoo predict`, what is refused, and a digit drawn in Chromium."""

import base64
import http.client
import io
import itertools
import json
import socket
import threading
import types

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kzoo.demo.network import Network, _enlarged
from kzoo.demo.pictures import LARGEST, centered, decoded
from kzoo.demo.server import demo_server
from kzoo.errors import InputError, RunFailed
from kzoo.exporting.predicting import Classifier
from kzoo.introspection.file_metadata import write_inside
from kzoo.recipes.schema import Recipe
from tests.html_report import browser as driver

NAME = "lenet2-average:emnist"


@pytest.fixture(scope="module")
def served():
    with demo_server(NAME, 0) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, method, path, body=None, **headers):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=60)
    try:
        connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def png(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def test_answers_are_those_of_predict(served):
    image = np.round(np.kron(load_digits().images[3], np.ones((5, 5))) * 255 / 16).astype("uint8")
    status, _, body = ask(served, "POST", "/predict", png(image))
    assert status == 200
    answer = json.loads(body)
    small = np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BILINEAR))[None, ..., None]
    classifier = Classifier(NAME)
    (expected,) = classifier.probabilities(small)
    names = classifier.names(47)
    assert [name for name, _ in answer["classes"]] == [names[i] for i in np.argsort(-expected)[:5]]
    assert [share for _, share in answer["classes"]] == pytest.approx(np.sort(expected)[::-1][:5], abs=1e-5)
    assert answer["seen"].startswith("data:image/png")
    assert answer["map"].startswith("data:image/png")
    assert answer["map"] != answer["seen"]


def test_transparent_pictures_are_laid_over_the_networks_background(model_file):
    drawing = np.zeros((8, 8, 4), "uint8")  # black, with an opaque left half
    drawing[:, :4, 3] = 255
    seen = {}
    for background in ((255, 255, 255), (200, 200, 200), (0, 0, 0)):
        network = Network(model_file(background))
        answer = network.answer(png(drawing))
        content = base64.b64decode(answer["seen"].partition(",")[2])
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        assert pixels[0, 0].tolist() == [0, 0, 0]
        assert pixels[0, -1].tolist() == list(background)
        seen[background] = dict(answer["classes"])
    # The network returns the brightness of its input, so this checks that its input is the picture shown.
    shares = [classes["bright"] for classes in seen.values()]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[1] + 0.05 > shares[2] + 0.1


def test_keras_files_have_a_map(tmp_path):
    pixels = np.tile(np.arange(0, 240, 30, np.uint8), (14, 1))
    picture = png(pixels)
    image = keras.Input((None, None, 1))  # of any size: the picture keeps its own
    seen = keras.layers.Conv2D(3, 3)(keras.layers.Rescaling(1 / 255)(image))
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(seen))
    keras.Model(image, outputs).save(tmp_path / "with.keras")
    answer = Network(str(tmp_path / "with.keras")).answer(picture)
    assert answer["map"].startswith("data:image/png")
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["seen"].partition(",")[2]))))
    np.testing.assert_array_equal(seen[::28, ::28], pixels)


@pytest.fixture
def model_file(tmp_path):
    """Writes a model file that returns how bright pictures are, as from a run on files with a given background."""
    image = keras.Input((8, 8, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    head = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(image, head(mean))
    head.set_weights([np.array([[0.0, 1.0]] * 3), np.zeros(2)])

    def write(background):
        path = tmp_path / f"{background[0]}.keras"
        recipe = Recipe(name="bright", model="lenet1-max", dataset="folder:pictures", background=background)
        model.save(path)
        write_inside(path, {"class_names": ["dark", "bright"], "recipe": recipe.model_dump(mode="json")})
        return str(path)

    return write


def test_it_listens_on_this_machine_only(served):
    assert served.server_address[0] == "127.0.0.1"
    assert served.socket.getsockname()[0] == "127.0.0.1"
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        addresses = set()
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(ConnectionError):
            socket.create_connection((address, served.server_address[1]), timeout=2).close()


@pytest.mark.parametrize("path", ["/etc/passwd", "/../../etc/passwd", "/server.py", "/page.html", "/predict", "/?a=b"])
def test_no_file_is_served(served, path):
    status, _, body = ask(served, "GET", path)
    assert (status, body) == (404, b"there is nothing here")
    assert path == "/predict" or ask(served, "POST", path, b"x")[0] == 404


def test_what_is_not_a_picture_is_refused(served):
    status, _, body = ask(served, "POST", "/predict", b"just a text")
    assert status == 415
    assert "not a picture" in json.loads(body)["error"]
    damaged = png(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))[:900]
    assert ask(served, "POST", "/predict", damaged)[0] == 415
    assert ask(served, "POST", "/predict?drawn", png(np.zeros((50, 50), np.uint8)))[0] == 415
    huge = png(np.zeros((9000, 9000), np.uint8))  # a few kilobytes that decode to many pixels
    assert len(huge) < LARGEST
    assert "pixels" in json.loads(ask(served, "POST", "/predict", huge)[2])["error"]


def test_each_error_has_its_status(served, monkeypatch):
    picture = png(np.full((9, 9), 200, np.uint8))
    for length in ("many", "\xb2"):  # the second is a digit, but not a number
        assert ask(served, "POST", "/predict", Content_Length=length)[0] == 411
    monkeypatch.setattr("kzoo.demo.server.LARGEST", len(picture) - 1)
    assert ask(served, "POST", "/predict", picture)[0] == 413
    monkeypatch.setattr("kzoo.demo.server.LARGEST", len(picture))
    assert ask(served, "POST", "/predict", picture)[0] == 200
    monkeypatch.setattr("kzoo.demo.pictures.MOST_PIXELS", 81)
    assert decoded(picture, 1).shape == (9, 9, 1)
    monkeypatch.setattr("kzoo.demo.pictures.MOST_PIXELS", 80)
    status, _, body = ask(served, "POST", "/predict", picture)
    assert (status, "9 x 9 pixels: at most 80 are allowed" in json.loads(body)["error"]) == (415, True)

    def fail(*args, **options):
        raise RunFailed("out of memory")

    monkeypatch.setattr(Network, "answer", fail)
    status, headers, body = ask(served, "POST", "/predict", picture)
    assert (status, json.loads(body)) == (500, {"error": "out of memory"})
    assert (headers["Content-Type"], headers["Connection"]) == ("application/json", "close")


def test_the_page_has_the_networks_title_and_is_not_cached(served):
    status, headers, body = ask(served, "GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert NAME in body.decode()
    assert "DRAWS" not in body.decode()
    wanted = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    assert wanted.items() <= headers.items()
    assert "Connection" not in headers


def test_a_title_may_hold_a_word_that_the_page_fills_in(served, monkeypatch):
    network = types.SimpleNamespace(title="DRAWS-1", draws=True)
    monkeypatch.setattr(served.RequestHandlerClass, "network", network)
    page = ask(served, "GET", "/")[2].decode()
    assert "<h1>DRAWS-1</h1>" in page
    assert "hidden = !true" in page


@pytest.mark.parametrize("length", [50 * 10**6, "9" * 5000])
def test_a_large_upload_is_refused_unread(served, length):
    with socket.create_connection(served.server_address, timeout=20) as connection:
        host = f"127.0.0.1:{served.server_address[1]}"
        head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode())  # without the 50 MB
        answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 413")
    status, _, _ = ask(served, "POST", "/predict", png(np.full((9, 9), 200, np.uint8)))
    assert status == 200  # the server continues


def test_other_pages_cannot_ask(served):
    picture = png(np.full((9, 9), 200, np.uint8))
    assert ask(served, "POST", "/predict", picture, Origin="http://elsewhere.example")[0] == 403
    assert ask(served, "GET", "/", Host="elsewhere.example")[0] == 403
    status, headers, _ = ask(served, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in headers


def test_drawings_are_centred():
    drawing = np.zeros((100, 100, 1), np.uint8)
    drawing[10:34, 60:72] = 255
    picture = centered(drawing)
    rows, columns = (np.flatnonzero((picture[..., 0] > 0).any(axis)) for axis in (1, 0))
    assert picture.shape[0] == picture.shape[1] == 28
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (2, 25, 8, 19)
    drawing[:5] = 32  # too faint to be ink
    np.testing.assert_array_equal(centered(drawing), picture)
    with pytest.raises(InputError, match="nothing is drawn yet"):
        centered(np.full((9, 9, 1), 32, np.uint8))
    wide = centered(np.full((10, 60, 3), 33, np.uint8))
    rows, columns = (np.flatnonzero((wide > 0).any((axis, 2))) for axis in (1, 0))
    assert wide.shape == (70, 70, 3)
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (30, 39, 5, 64)


@pytest.mark.parametrize(
    ("height", "width", "times"), [(28, 28, 8), (32, 100, 7), (100, 33, 7), (224, 300, 1), (225, 225, 1)]
)
def test_what_is_shown_is_enlarged_by_whole_pixels(height, width, times):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 1), np.uint8)
    enlarged = _enlarged(image)
    assert enlarged.shape == (height * times, width * times, 1)
    for offset in {0, times - 1}:
        np.testing.assert_array_equal(enlarged[offset::times, offset::times], image)


def test_wrong_use_is_one_line(served, command):
    port = served.server_address[1]
    for words, message in (
        (("demo", "nowhere"), "is not a run"),
        (("demo", NAME, "--port", port), "cannot be listened on"),
        (("demo", NAME, "--port", 70000), "65535"),
    ):
        code, _, errors = command(*words)
        assert (code, errors.count("\n")) == (2, 1), errors
        assert message in errors
    with pytest.raises(InputError, match="is not a run"):
        demo_server("nowhere", 0)


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.skipif(driver.find() is None, reason="there is no Chromium (Debian: apt-get install chromium)")
def test_a_digit_is_drawn(served, tmp_path):
    browser = driver.Browser(tmp_path)
    try:
        browser.open(f"http://127.0.0.1:{served.server_address[1]}/", width=900)
        draw(browser, [(0.25, 0.2), (0.75, 0.2), (0.6, 0.5), (0.45, 0.85)])
        browser.wait("document.querySelectorAll('#classes .row').length === 5")
        assert browser.evaluate("document.querySelector('#classes b').textContent") == "7"
        browser.wait("[...document.images].length === 2 && [...document.images].every((i) => i.naturalWidth === 224)")
        browser.evaluate("document.getElementById('clear').click()")
        assert browser.evaluate("document.querySelectorAll('#classes .row').length") == 0
        browser.evaluate("ask(new Blob(['a text']), false)")
        assert "not a picture" in browser.evaluate("document.getElementById('error').textContent")
        assert browser.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        refused = [text for text in browser.complaints if "415" not in text]
        assert refused == []
        hosts = {address.split("/")[2] for address in browser.requests if address.startswith("http")}
        assert hosts == {f"127.0.0.1:{served.server_address[1]}"}
    finally:
        browser.close()


def draw(browser, points):
    """Draw a line with the mouse through points, given as shares of the field's sides."""
    box = browser.evaluate("JSON.parse(JSON.stringify(field.getBoundingClientRect()))")
    pixels = [(box["left"] + x * box["width"], box["top"] + y * box["height"]) for x, y in points]
    mouse = {"button": "left", "buttons": 1, "clickCount": 1}
    browser.call("Input.dispatchMouseEvent", type="mousePressed", x=pixels[0][0], y=pixels[0][1], **mouse)
    for start, end in itertools.pairwise(pixels):
        for step in np.linspace(0, 1, 9)[1:]:
            x, y = ((1 - step) * a + step * b for a, b in zip(start, end, strict=True))
            browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **mouse)
    browser.call("Input.dispatchMouseEvent", type="mouseReleased", x=pixels[-1][0], y=pixels[-1][1], **mouse)
