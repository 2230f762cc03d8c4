import functools
import itertools
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kzoo
from kzoo.diagnostics.diagram import architecture_diagram, save_diagram
from kzoo.diagnostics.diagram.boxes import Box, Graph, build_graph
from kzoo.diagnostics.diagram.layer_words import words_for
from kzoo.diagnostics.diagram.layout import lay_out
from kzoo.diagnostics.diagram.svg import FILLS
from kzoo.diagnostics.diagram.text import box_lines, box_size, shortened, text_width
from kzoo.errors import InputError

SVG = "{http://www.w3.org/2000/svg}"


@functools.cache
def network(name):
    """A network of the zoo, built once, because drawing does not change it."""
    return kzoo.create_model(name)


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]


def titles(model, **options):
    """The boxes' titles: the bold texts except the heading and the repetitions."""
    bold = [
        e.text for e in ET.fromstring(architecture_diagram(model, **options)).iter(f"{SVG}text") if e.get("font-weight")
    ]
    return [text for text in bold[1:] if not text.startswith("× ")]


def branching():
    image = keras.Input((8, 8, 3), name="image")
    stem = keras.layers.Conv2D(4, 3, padding="same", name="stem")(image)
    long = keras.layers.Conv2D(4, 3, padding="same", name="long1")(stem)
    long = keras.layers.Conv2D(4, 3, padding="same", name="long2")(long)
    short = keras.layers.MaxPooling2D(3, 1, padding="same", name="short")(stem)
    joined = keras.layers.Concatenate(name="joined")([long, short])
    meta = keras.Input((7,), name="meta")
    flat = keras.layers.Flatten(name="flat")(joined)
    both = keras.layers.Concatenate(name="both")([flat, meta])
    aux = keras.layers.GlobalAveragePooling2D(name="aux")(stem)
    return keras.Model([image, meta], [keras.layers.Dense(2, name="out")(both), aux], name="branching")


def test_blocks_fold_followers_and_repetition():
    model = network("vgg38-bn-res")
    shown = texts(architecture_diagram(model))
    assert shown.count("× 5") == 3
    assert "338,500 trainable of 340,868 parameters" in shown
    assert "Conv2D 3×3, 32 · BatchNorm · LeakyReLU 0.01" in shown
    assert "32×32×32 · 928 parameters" in shown
    assert len(titles(model)) == 22
    assert len(titles(model, collapse=False)) == 22 + 3 * 4 * 3


def test_layers_shows_every_layer():
    model = network("resnet10")
    assert sorted(titles(model, detail="layers")) == sorted(layer.name for layer in model.layers)


def test_nested_models_are_one_box_or_all_theirs():
    base = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4, name="first"), keras.layers.Dense(4, name="second")], name="base"
    )
    one, two = keras.Input((8,), name="one"), keras.Input((8,), name="two")
    model = keras.Model([one, two], keras.layers.Add(name="sum")([base(one), base(two)]), name="twins")
    assert titles(model) == ["one", "base", "two", "base", "sum"] or sorted(titles(model)) == [
        "base",
        "base",
        "one",
        "sum",
        "two",
    ]
    assert "4 · 56 parameters" in texts(architecture_diagram(model))
    expanded = titles(model, expand_nested=True, collapse=False)
    assert sorted(expanded).count("base/first") == 2
    assert any("shared" in text for text in texts(architecture_diagram(model, expand_nested=True, collapse=False)))


def test_a_nested_model_has_the_shapes_of_all_its_outputs():
    x = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(4, 3, padding="same")(x)
    inner = keras.Model(x, [keras.layers.Dense(5)(first), first], name="inner")
    image = keras.Input((8, 8, 3))
    graph = build_graph(keras.Model(image, inner(image)), fuse=True, expand_nested=False, collapse=True)
    assert [box.shape for box in graph.boxes if box.kind == "model"] == ["8×8×5, 8×8×4"]


def test_frozen_layers_and_odd_names():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a<b>&'\"" + "x" * 90)], name="m & <n>")
    model.layers[0].trainable = False
    shown = texts(architecture_diagram(model))
    assert "3 · 15 frozen" in shown
    assert "m & <n>" in shown
    assert any("…" in text for text in shown)
    odd = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a\x01b")])
    assert "a?b" in texts(architecture_diagram(odd))


@pytest.mark.parametrize("detail", ["blocks", "layers"])
@pytest.mark.parametrize("name", ["vgg08", "vgg-e", "lenet3-dilated", "resnet24", "mlp"])
def test_text_fits_and_nothing_overlaps(name, detail):
    names = kzoo.list_models(f"{name}*")
    model = network(names[0])
    check(build_graph(model, fuse=detail == "blocks", expand_nested=False, collapse=detail == "blocks"))


def test_branches_and_several_inputs():
    model = branching()
    check(build_graph(model, fuse=True, expand_nested=False, collapse=True))
    assert set(titles(model)) == {
        "image",
        "stem",
        "long1",
        "long2",
        "short",
        "joined",
        "meta",
        "flat",
        "both",
        "aux",
        "out",
    }


def check(graph):
    lines = [box_lines(box) for box in graph.boxes]
    sizes = [box_size(text) for text in lines]
    for text, (width, _) in zip(lines, sizes, strict=True):
        assert max([text_width(text[0], 12.0, True), *map(text_width, text[1:])]) <= width - 10
    check_layout(graph, lay_out(graph, sizes))


def check_layout(graph, layout):
    edges = [
        (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        for (x, y), (width, height) in zip(layout.centers, layout.sizes, strict=True)
    ]
    for i, one in enumerate(edges):
        assert layout.left <= one[0]
        assert one[2] <= layout.right
        assert one[3] <= layout.bottom
        for other in edges[:i]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    for (before, after), path in zip(graph.edges, layout.paths, strict=True):
        assert path[0][1] == pytest.approx(edges[before][3])
        assert path[-1][1] == pytest.approx(edges[after][1])
        assert edges[before][0] < path[0][0] < edges[before][2]
        assert edges[after][0] < path[-1][0] < edges[after][2]
        for (x1, y1), (x2, y2) in itertools.pairwise(path):
            assert x1 == pytest.approx(x2) or y1 == pytest.approx(y2)
            assert y2 >= y1 - 1e-6  # arrows never run upwards
            for left, top, right, bottom in edges:
                assert (
                    max(x1, x2) <= left
                    or min(x1, x2) >= right
                    or max(y1, y2) <= top + 0.01
                    or min(y1, y2) >= bottom - 0.01
                )


@given(st.data())
def test_any_graph_is_drawn_without_overlaps(data):
    count = data.draw(st.integers(1, 14))
    edges = []
    for after in range(1, count):
        for before in data.draw(st.lists(st.integers(0, after - 1), max_size=3, unique=True)):
            edges.append((before, after))
    boxes = [Box("dense", f"box{i}", ["Dense"], "3", 0, 0) for i in range(count)]
    sizes = data.draw(st.lists(st.tuples(st.integers(60, 300), st.integers(30, 90)), min_size=count, max_size=count))
    graph = Graph(boxes, edges)
    check_layout(graph, lay_out(graph, sizes))


def test_collapsed_graph_keeps_what_leads_in_and_out():
    graph = build_graph(network("vgg38-bn-res"), fuse=True, expand_nested=False, collapse=True)
    names = [box.title for box in graph.boxes]
    (first, last, times), *_ = graph.groups
    assert (names[first], names[last], times) == ("stage1_block1_conv1", "stage1_block1_add", 5)
    arrows = [(names[a], names[b]) for a, b in graph.edges]
    assert ("entry_conv", "stage1_block1_conv1") in arrows
    assert ("entry_conv", "stage1_block1_add") in arrows
    assert ("stage1_block1_add", "stage1_reduction_conv1") in arrows
    assert all(a < b for a, b in graph.edges)
    shown = {layer for box in graph.boxes for layer in box.layers}
    assert shown == {layer.name for layer in network("vgg38-bn-res").layers}


def test_legend_has_the_kinds_that_are_drawn_and_the_picture_holds_all():
    svg = ET.fromstring(architecture_diagram(branching()))
    named = [element.text for element in svg.iter(f"{SVG}text") if element.text in FILLS]
    assert sorted(named) == sorted({"input", "convolution", "pooling", "merge", "shape", "dense"})
    width, height = float(svg.get("width")), float(svg.get("height"))
    (group,) = svg.findall(f"{SVG}g")
    right, down = map(float, group.get("transform")[len("translate(") : -1].split())
    drawn = [(rect, right, down) for rect in group.iter(f"{SVG}rect")] + [
        (rect, 0, 0) for rect in svg.findall(f"{SVG}rect")
    ]
    assert len(drawn) > 10
    for rect, across, below in drawn:
        left, top, wide, high = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        assert 0 <= left + across < left + across + wide <= width
        assert 0 <= top + below < top + below + high <= height


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (keras.layers.Conv2D(8, 3, groups=1), "Conv2D 3×3, 8"),
        (
            keras.layers.Conv2D(8, (3, 1), strides=2, groups=2, activation="relu"),
            "Conv2D 3×1, 8, stride 2, 2 groups · relu",
        ),
        (keras.layers.Conv2D(8, 3, strides=(2, 1), dilation_rate=1), "Conv2D 3×3, 8, stride 2×1"),
        (keras.layers.DepthwiseConv2D(3, dilation_rate=2), "DepthwiseConv2D 3×3, dilation 2"),
        (keras.layers.MaxPooling2D(2), "MaxPooling2D 2×2, stride 2"),
        (keras.layers.Dense(4, activation="linear"), "Dense 4"),
        (keras.layers.Dropout(0.25), "Dropout 0.25"),
        (keras.layers.ReLU(), "ReLU"),
        (keras.layers.ReLU(negative_slope=0.1), "ReLU 0.1"),
        (keras.layers.LeakyReLU(0.01), "LeakyReLU 0.01"),
        (keras.layers.GroupNormalization(4), "GroupNormalization"),
        (keras.layers.BatchNormalization(), "BatchNorm"),
        (keras.layers.Activation("tanh"), "tanh"),
    ],
)
def test_words_for_layers(layer, words):
    assert words_for(layer) == words


def test_words_for_a_custom_layer_that_keeps_its_activation_by_name():
    class Custom(keras.layers.Layer):
        activation = "relu"

    assert words_for(Custom()) == "Custom · relu"


def test_shortened_text():
    assert shortened("short") == "short"
    long = shortened("a" * 50 + "b" * 50)
    assert long.startswith("aa")
    assert long.endswith("bb")
    assert text_width(long) <= 280
    assert shortened("anything", widest=1) == "…"


def test_files(tmp_path):
    model = kzoo.create_model("lenet2-dilated")
    path = save_diagram(model, tmp_path / "a.svg")
    assert path.read_text(encoding="utf-8") == architecture_diagram(model)
    with pytest.raises(InputError, match="exists"):
        save_diagram(model, path)
    with pytest.raises(InputError, match=r"must end in \.svg"):
        save_diagram(model, tmp_path / "a.png")


class Custom(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    "model", [keras.Sequential([keras.layers.Dense(3)]), Custom(), np.zeros(3)], ids=["unbuilt", "subclass", "none"]
)
def test_models_without_a_graph(model):
    with pytest.raises(InputError, match="build it, or give a Functional model"):
        architecture_diagram(model)


def test_bad_detail():
    with pytest.raises(InputError, match="detail"):
        architecture_diagram(network("vgg08"), detail="all")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "InceptionV3", "NASNetMobile", "DenseNet121"])
def test_published_networks(name):
    model = getattr(keras.applications, name)(weights=None)
    check(build_graph(model, fuse=True, expand_nested=False, collapse=True))
    assert ET.fromstring(architecture_diagram(model)).tag == f"{SVG}svg"
