"""Names, wildcards, and models registered from outside."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

from kzoo.errors import InputError
from kzoo.models import create_model, get_variant, list_models, register_model, registry
from kzoo.models.registry import builder_defaults, builder_options, check_options
from kzoo.recipes import get_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(registry.REGISTRY, "added", {})


def linear(classes=3, input_shape=(8, 8, 1), scale=1.0, name="linear"):
    """A custom model."""
    x = image = keras.Input(input_shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(scale)(x))
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax")(x), name=name)


def test_wildcards_and_natural_order():
    assert list_models("resnet*") == ["resnet10", "resnet16", "resnet24", "resnet48"]
    assert list_models("vgg38*") == ["vgg38", "vgg38-bn", "vgg38-bn-res", "vgg38-res"]
    assert list_models("lenet?-max") == [f"lenet{i}-max" for i in (1, 2, 3, 4)]
    assert list_models("no-such*") == []
    assert list_models("lenet1-m*", pretrained=True) == ["lenet1-max"]
    assert list_models("vgg38*", pretrained=True) == []
    register_model("resnet9", linear, classes=3, input_shape=(8, 8, 1))
    assert list_models("resnet*")[:2] == ["resnet9", "resnet10"]


@pytest.mark.parametrize(
    ("name", "near"), [("vgg38bn", "vgg38-bn"), ("resnet-24", "resnet24"), ("lenet2max", "lenet2-max")]
)
def test_unknown_name_suggests_the_nearest(name, near):
    with pytest.raises(InputError, match=f"unknown model '{name}': did you mean '{near}'"):
        create_model(name)


def test_options_override_the_variants():
    model = create_model("vgg38-bn", blocks=1, batch_norm=False, classes=7, name="small")
    assert model.name == "small"
    assert model.output_shape == (None, 7)
    assert [layer.name for layer in model.layers if "bn" in layer.name] == ["entry_conv_bn"]


def test_unknown_option_suggests_the_nearest():
    with pytest.raises(InputError, match=r"unknown option of model 'vgg38' 'batchnorm': did you mean 'batch_norm'"):
        create_model("vgg38", batchnorm=True)


def test_options_are_checked_in_the_source_before_keras_is_there(tmp_path, monkeypatch):
    for name in list_models():
        check_options(name, dict.fromkeys(builder_options(name), 0))  # every option that the builder takes
        with pytest.raises(InputError, match=rf"unknown option of model '{name}' 'clases': did you mean 'classes'"):
            check_options(name, {"clases": 3})
    (tmp_path / "own_net.py").write_text("raise SystemExit\ndef net(classes, *, width=3): ...\ndef any(**more): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    check_options("own_net:any", {"anything": 1})
    check_options("own_net:net", {"width": 1})
    with pytest.raises(InputError, match="unknown option of model 'own_net:net' 'widht': did you mean 'width'"):
        check_options("own_net:net", {"widht": 1})


def test_registered_model_is_listed_and_built_with_its_defaults():
    variant = register_model("own", linear, options={"scale": 2.0}, classes=4, input_shape=(6, 6, 1), recipe="a/b")
    assert get_variant("own") == variant
    assert "own" in list_models("o*")
    model = create_model("own")
    assert (model.name, model.input_shape, model.output_shape) == ("own", (None, 6, 6, 1), (None, 4))
    assert model.layers[1].scale == 2.0
    assert create_model("own", scale=0.5, classes=2).layers[1].scale == 0.5


def test_defaults_of_a_builder_are_its_own_and_the_variants():
    def own(width, depth=2, scale=1.0, *, classes=3): ...

    register_model("own", own, options={"scale": 0.5}, classes=4, input_shape=(6, 6, 1))
    assert builder_defaults("own") == {"depth": 2, "scale": 0.5, "classes": 3}
    assert builder_options("own") == ["width", "depth", "scale", "classes"]
    register_model("any", lambda **options: None, classes=4, input_shape=(6, 6, 1))
    assert builder_options("any") is None
    register_model("dict", dict, options={"a": 1}, classes=4, input_shape=(6, 6, 1))  # `dict` has no signature
    assert (builder_options("dict"), builder_defaults("dict")) == (None, {"a": 1})


def test_registered_builder_need_not_take_the_shared_options():
    register_model("bare", lambda: linear(5), classes=5, input_shape=(8, 8, 1))
    assert create_model("bare").output_shape == (None, 5)
    with pytest.raises(InputError, match="unknown option of model 'bare' 'classes'"):
        create_model("bare", classes=3)


def test_names_cannot_be_registered_twice():
    register_model("own", linear, classes=3, input_shape=(8, 8, 1))
    register_model("own", linear, classes=3, input_shape=(8, 8, 1))  # the same again, as if a module is imported twice
    with pytest.raises(InputError, match="'own' is taken"):
        register_model("own", linear, classes=4, input_shape=(8, 8, 1))
    with pytest.raises(InputError, match="'vgg38' is taken"):
        register_model("vgg38", linear, classes=3, input_shape=(8, 8, 1))


@pytest.mark.parametrize("name", ["a/b", "a:b", "a b", "", "a*", 3])
def test_malformed_names(name):
    with pytest.raises(InputError, match="model name"):
        register_model(name, linear, classes=3, input_shape=(8, 8, 1))


def test_builder_must_be_a_callable_or_a_reference():
    for builder in ("linear", 3):
        with pytest.raises(InputError, match="callable or 'module:function'"):
            register_model("own", builder, classes=3, input_shape=(8, 8, 1))


def test_module_and_function_as_a_name(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(
        "import keras\n"
        "def small(classes=3, width=4):\n"
        "    return keras.Sequential([keras.Input((width, width, 1)), keras.layers.Flatten(),"
        " keras.layers.Dense(classes)])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert create_model("own_models:small", width=6).input_shape == (None, 6, 6, 1)
        assert get_variant("own_models:small").classes is None
        with pytest.raises(InputError, match="did you mean 'small'"):
            create_model("own_models:smal")
    finally:
        sys.modules.pop("own_models", None)


@pytest.mark.parametrize("name", ["no_such_module:build", "kzoo.no_such:build"])
def test_missing_module(name):
    with pytest.raises(InputError, match="there is no module"):
        create_model(name)


def test_half_a_reference():
    with pytest.raises(InputError, match="expected 'module:function'"):
        create_model("kzoo.models:")


def test_listing_loads_no_keras():
    code = (
        "import sys; from kzoo.models import list_models, get_variant; list_models('*'); get_variant('vgg38');"
        " print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_default_recipe_that_does_not_exist_is_an_error_that_names_it():
    register_model("own", linear, classes=3, input_shape=(8, 8, 1), recipe="no/such")
    with pytest.raises(InputError, match="model 'own' has the default recipe 'no/such', which does not exist"):
        get_recipe("own")
