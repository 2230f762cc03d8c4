"""Every variant of the catalogue: exact parameter counts, building, saving, reloading, mixed precision."""

from pathlib import Path

import keras
import pytest

from kzoo.models import create_model, get_variant, list_models
from kzoo.models.catalog import BUILDERS, VARIANTS
from tests.harness import check_model

# Stage widths, and convolutions per stage, of the networks for 94, 95 and 96%.
FASTNETS = {"s": ((64, 256, 256), 2), "m": ((128, 384, 384), 2), "l": ((128, 384, 512), 3)}


def fastnet(widths, convs):
    """Count a whitening bias, 3x3 convolutions with one shift for each filter, and a head without bias."""
    channels, count = 24, 24
    for width in widths:
        for _ in range(convs):
            count += 9 * channels * width + width
            channels = width
    return count + 10 * channels


# Trainable parameters, as printed in the reports or computed from their architectures.
COUNTS = {
    "vgg08": 59_716,
    "vgg08-bn": 60_100,
    "vgg38": 336_196,
    "vgg38-res": 336_196,
    "vgg38-bn": 338_500,
    "vgg38-bn-res": 338_500,
    "vgg-a": 3_264_906,
    "vgg-a-bn": 3_266_314,
    "vgg-d": 4_039_498,
    "vgg-d-bn": 4_041_802,
    "vgg-e": 4_629_578,
    "vgg-e-bn": 4_632_394,
    "resnet10": 4_903_242,
    "resnet16": 4_909_642,
    "resnet24": 4_935_242,
    "resnet48": 4_994_378,
    "densenet-40-12": 1_019_722,
    "densenet-bc-40-16": 309_962,
    "densenet-bc-100-12": 769_162,
    **{f"lenet{i}-{kind}": n for kind in ("max", "average") for i, n in enumerate((6_304, 15_520, 24_736, 33_952), 1)},
    **{
        f"lenet{i}-{kind}": n
        for kind in ("strided", "dilated")
        for i, n in enumerate((15_520, 33_952, 52_384, 70_816), 1)
    },
    **{f"fastnet-{size}": fastnet(*widths) for size, widths in FASTNETS.items()},
    "mlp": (32 * 32 * 3 + 1) * 512 + 513 * 512 + 513 * 10,
}
FAMILIES = ("vgg08-bn", "vgg-a-bn", "lenet2-dilated", "fastnet-s", "mlp")


def test_counts_cover_the_catalogue():
    assert sorted(COUNTS) == sorted(variant.name for variant in VARIANTS)


@pytest.mark.backend
@pytest.mark.parametrize(
    "name",
    [*FAMILIES, pytest.param("resnet10", marks=[pytest.mark.slow, pytest.mark.representative])],
)
def test_one_variant_per_family(name, tmp_path):
    check_model(lambda: create_model(name), tmp_path, COUNTS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_every_variant(name, tmp_path):
    if name not in COUNTS:
        pytest.skip("registered by a plugin")
    check_model(lambda: create_model(name), tmp_path, COUNTS[name])


@pytest.mark.parametrize("name", ["vgg38-bn-res", "lenet4-dilated", "vgg-d"])
def test_counts_of_deeper_variants(name):
    assert create_model(name).count_params() - _untrained(name) == COUNTS[name]


def _untrained(name):
    return sum(int(w.shape[0]) for w in create_model(name).non_trainable_weights)


def test_every_variant_has_a_default_recipe_and_shape():
    for variant in VARIANTS:
        assert variant.recipe
        assert "/" in variant.recipe
        assert len(variant.input_shape) == 3
        assert variant.classes == {"v": 100, "l": 47}.get(
            variant.name[0] if not variant.name.startswith("vgg-") else "-", 10
        )


def test_a_variant_keeps_its_own_options():
    options = {"blocks": 1}
    variant = type(VARIANTS[0])("mine", "m:f", options)
    options["blocks"] = 2
    assert variant.options == {"blocks": 1}


@pytest.mark.parametrize(("filters", "counts"), [(64, (12_608, 49_472, 86_336, 123_200))])
def test_wider_lenets(filters, counts):
    for layers, count in enumerate(counts, 1):
        assert create_model(f"lenet{layers}-max", filters=filters).count_params() == count


@pytest.mark.slow
def test_named_builders_are_their_variants():
    import kzoo.models

    for name in ("VGG08", "VGG38", "VGGA", "VGGD", "VGGE", "ResNet10", "ResNet16", "ResNet24", "ResNet48"):
        builder = getattr(kzoo.models, name)
        model = builder()
        variant = get_variant(model.name)
        assert builder.__name__ == name
        assert model.count_params() == create_model(variant.name).count_params()
        keras.backend.clear_session()


def test_every_builder_is_public_and_documented():
    import kzoo

    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    names = [name for family in BUILDERS.values() for name in family]
    assert {variant.builder.partition(":")[2] for variant in VARIANTS} <= set(names)
    for name in names:
        assert name in kzoo.__all__
        assert f".. autofunction:: {name}\n" in page
