"""TensorFlow operations that tf2onnx 1.17 cannot write; importing this module adds them to tf2onnx's table."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx import utils
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """1 - erf(x), used by the exact GELU; ONNX has no such operator."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **options: Any) -> None:
        """Replace the node, like tf2onnx's own handlers."""
        shape, dtype = ctx.get_shape(node.output[0]), ctx.get_dtype(node.output[0])
        name, inputs, outputs = node.name, list(node.input), list(node.output)
        ctx.remove_node(name)
        one = ctx.make_const(utils.make_name(name), np.ones((), utils.map_onnx_to_numpy_type(dtype)))
        erf = ctx.make_node("Erf", inputs)
        ctx.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=outputs, shapes=[shape], dtypes=[dtype])
