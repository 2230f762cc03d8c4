"""The gallery: all pictures in docs/images, with the commands that make such pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Does it learn, and why not?": {
        "rescue": (
            "kzoo study run rescue",
            "`kzoo study report rescue` draws these curves, and many more, on its page",
        ),
        "learning-curves": ("kzoo compare RUN RUN RUN --output compared.html", "plot_learning_curves"),
        "gradients-vgg08": ("kzoo gradients RUN --output gradients.svg", "plot_gradient_flow"),
        "gradients-vgg38": ("kzoo gradients RUN --output gradients.svg", "plot_gradient_flow"),
        "gradients-vgg38-bn": ("kzoo gradients RUN --output gradients.svg", "plot_gradient_flow"),
        "gradients-heatmap": ("", "plot_gradient_heatmap"),
        "update-ratio": ("", "plot_update_ratio"),
        "activations": ("", "plot_activations"),
        "weights": ("kzoo histograms RUN --output weights.png", "plot_weight_histograms"),
    },
    "What does it get wrong?": {
        "confusion": ("kzoo confusion RUN --output confusion.png", "plot_confusion"),
        "per-class": ("kzoo confusion RUN --per-class classes.svg", "plot_per_class"),
        "mistakes": ("kzoo confusion RUN --mistakes mistakes.png", "plot_mistakes"),
        "calibration": ("kzoo calibration RUN --output reliability.png", "plot_reliability"),
    },
    "What does it look at?": {
        "explained": ("kzoo explain lenet2-average:emnist digit.png", "plot_explained"),
        "grad-cam": ("", "plot_grad_cam"),
        "feature-maps": ("kzoo explain RUN picture.png --feature-maps", "plot_feature_maps"),
        "kernels": ("", "plot_kernels"),
        "field-table": ("kzoo receptive-field lenet2-dilated --output fields.png", "plot_field_table"),
        "receptive-fields": ("", "plot_lenet_fields"),
        "invariance": ("kzoo invariance RUN RUN RUN --output invariance.svg", "plot_invariance"),
    },
    "What is it made of?": {
        "diagram-vgg38-bn-res": ("kzoo diagram vgg38-bn-res", "save_diagram"),
        "diagram-lenet2-dilated": ("kzoo diagram lenet2-dilated", "save_diagram"),
    },
    "Which setting is best?": {
        "search-lenet-layers-filters-reduction": ("kzoo trials SEARCH --figure search.svg", "plot_search"),
    },
    "What does a convolution cost?": {
        f"convolution-{name}": ("python -m benchmarks.convolution --figures DIR", caption)
        for name, caption in {
            "loops": "One output value is the sum of the window's pixels times the kernel's weights",
            "pairs": "One image with three channels and two filters takes six calls of a function for one map",
            "im2col": "The image, its matrix of columns, the kernel as a column, and the output as their product",
            "col2im": "How often the matrix of columns repeats each pixel of a 6x6 image, for a 3x3 kernel",
            "fft": "An image and a kernel, their spectra, the product of the spectra, and the output",
            "times": "Seconds, forward and backward, as one size grows",
            "memory": "Memory of a forward pass beyond its result: predictions as lines, measurements as markers",
            "crossing": "Time of the other algorithms divided by that of FFT, by kernel size",
        }.items()
    },
}
"""By section and file stem: the command that makes a picture, and a function of the Python interface or a remark."""


def gallery(images: Path) -> str:
    """Return the sections with all pictures; exit if `SECTIONS` and the files differ."""
    files = {path.stem: path.name for path in images.glob("*") if path.suffix in (".png", ".svg")}
    listed = {name for section in SECTIONS.values() for name in section}
    if set(files) != listed:
        sys.exit(f"docs/tables/gallery.py and docs/images differ in {', '.join(sorted(set(files) ^ listed))}")
    captions = json.loads((images / "captions.json").read_text(encoding="utf-8"))

    parts = []
    for title, section in SECTIONS.items():
        parts.append(f"## {title}")
        for name, (command, remark) in section.items():
            caption = captions.get(name, {}).get("caption", "")
            alt = caption.replace("`", "") or name.replace("-", " ")
            function = f"`{remark}`" if remark.isidentifier() else remark
            if command:
                parts.append(f"```sh\n{command}\n```")
            parts.append(f"![{alt}](images/{files[name]})")
            in_python = function.startswith("`plot") or remark == "save_diagram"
            sentences = [caption, f"In Python: {function}." if in_python else remark]
            parts.append("\n".join(text if text.endswith(".") else f"{text}." for text in sentences if text))
    return "\n" + "\n\n".join(parts) + "\n\n"
