"""Small PyTorch networks, written from the reports' facts and independent of kzoo's builders.

Submodules have kzoo's layer names, so that `copy_weights` can match them. Tensors are (batch, channels, height, width);
before a map is flattened, channels move to the end, as in Keras.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def flat(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1).flatten(1)


class Named(nn.Module):
    """A module that finds its parts by name."""

    def part(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)

    def run(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.get_submodule(name)(x)

    def maybe(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.run(name, x) if name in self._modules else x


class ThinVGG(Named):
    """VGG-08 (blocks 0) and VGG-38 (blocks 5) of reports a and b; takes raw pixels."""

    def __init__(self, blocks: int, batch_norm: bool, residual: bool) -> None:
        super().__init__()
        self.blocks, self.residual = blocks, residual
        self.part("entry_conv", nn.Conv2d(3, 32, 3, padding=1, bias=False))
        self.part("entry_conv_bn", nn.BatchNorm2d(32))
        for stage in (1, 2, 3):
            names = [f"stage{stage}_block{block}" for block in range(1, blocks + 1)] + [f"stage{stage}_reduction"]
            for name in names:
                for i in (1, 2):
                    self.part(f"{name}_conv{i}", nn.Conv2d(32, 32, 3, padding=1, bias="reduction" in name))
                    if batch_norm:
                        self.part(f"{name}_conv{i}_bn", nn.BatchNorm2d(32))
        self.part("logits", nn.Linear(32, 100))

    def conv(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.maybe(f"{name}_bn", self.run(name, x))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
        x = F.leaky_relu(self.conv("entry_conv", (pixels / 255 - mean) / std), 0.01)
        for stage in (1, 2, 3):
            for block in range(1, self.blocks + 1):
                name = f"stage{stage}_block{block}"
                y = self.conv(f"{name}_conv2", F.leaky_relu(self.conv(f"{name}_conv1", x), 0.01))
                x = F.leaky_relu(y + x if self.residual else y, 0.01)
            name = f"stage{stage}_reduction"
            x = F.avg_pool2d(F.leaky_relu(self.conv(f"{name}_conv1", x), 0.01), 2)
            x = F.leaky_relu(self.conv(f"{name}_conv2", x), 0.01)
        return self.run("logits", x.mean((2, 3)))


class ThreeStageVGG(Named):
    """Report c's VGG with three stages; divides pixels by 255."""

    def __init__(self, convs: tuple[int, int, int], batch_norm: bool) -> None:
        super().__init__()
        self.convs = convs
        width = 3
        for stage, (count, filters) in enumerate(zip(convs, (64, 128, 256), strict=True), 1):
            for i in range(1, count + 1):
                self.part(f"stage{stage}_conv{i}", nn.Conv2d(width, filters, 3, padding=1))
                if batch_norm:
                    self.part(f"stage{stage}_conv{i}_bn", nn.BatchNorm2d(filters, eps=2e-5))
                width = filters
        for name, (inputs, outputs) in {"hidden1": (4096, 500), "hidden2": (500, 500), "logits": (500, 10)}.items():
            self.part(name, nn.Linear(inputs, outputs))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels / 255
        for stage, count in enumerate(self.convs, 1):
            for i in range(1, count + 1):
                name = f"stage{stage}_conv{i}"
                x = F.relu(self.maybe(f"{name}_bn", self.run(name, x)))
            x = F.max_pool2d(x, 2)
        x = F.relu(self.run("hidden2", F.relu(self.run("hidden1", flat(x)))))
        return self.run("logits", x)


class BasicResNet(Named):
    """Report e's ResNet with the original block order; normalizes pixels like `ThinVGG`."""

    def __init__(self, blocks: tuple[int, ...], channels: tuple[int, ...]) -> None:
        super().__init__()
        self.blocks = blocks
        self.conv_bn("stem_conv", 3, 64, 3, 1)
        width = 64
        for stage, (count, filters) in enumerate(zip(blocks, channels, strict=True), 1):
            for block in range(1, count + 1):
                name, stride = f"stage{stage}_block{block}", 2 if stage > 1 and block == 1 else 1
                self.conv_bn(f"{name}_conv1", width, filters, 3, stride)
                self.conv_bn(f"{name}_conv2", filters, filters, 3, 1)
                if stride != 1 or width != filters:
                    self.conv_bn(f"{name}_shortcut_conv", width, filters, 1, stride)
                width = filters
        self.part("logits", nn.Linear(width, 10))

    def conv_bn(self, name: str, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        self.part(name, nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False))
        # kzoo calls the shortcut's BatchNorm "..._shortcut_bn"
        self.part(name.replace("_shortcut_conv", "_shortcut") + "_bn", nn.BatchNorm2d(outputs))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
        x = F.relu(self.run("stem_conv_bn", self.run("stem_conv", (pixels / 255 - mean) / std)))
        for stage, count in enumerate(self.blocks, 1):
            for block in range(1, count + 1):
                name = f"stage{stage}_block{block}"
                y = F.relu(self.run(f"{name}_conv1_bn", self.run(f"{name}_conv1", x)))
                y = self.run(f"{name}_conv2_bn", self.run(f"{name}_conv2", y))
                x = F.relu(y + self.maybe(f"{name}_shortcut_bn", self.maybe(f"{name}_shortcut_conv", x)))
        return self.run("logits", F.avg_pool2d(x, 4).flatten(1))


class FastNet(Named):
    """Jordan's network (2024): whitening convolution, stages of two convolutions, global max pool, scaled head."""

    def __init__(self, widths: tuple[int, ...], classes: int = 10) -> None:
        super().__init__()
        self.widths = widths
        self.part("whitening", nn.Conv2d(3, 24, 2))
        self.get_submodule("whitening").weight.requires_grad_(False)
        width = 24
        for stage, filters in enumerate(widths, 1):
            for i in (1, 2):
                name = f"stage{stage}_conv{i}"
                self.part(name, nn.Conv2d(width, filters, 3, padding=1, bias=False))
                self.part(f"{name}_bn", nn.BatchNorm2d(filters, momentum=0.4))
                self.get_submodule(f"{name}_bn").weight.requires_grad_(False)
                width = filters
        self.part("logits", nn.Linear(width, classes, bias=False))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
        x = F.gelu(self.run("whitening", (pixels / 255 - mean) / std))
        for stage in range(1, len(self.widths) + 1):
            x = F.max_pool2d(self.run(f"stage{stage}_conv1", x), 2)
            x = F.gelu(self.run(f"stage{stage}_conv1_bn", x))
            x = F.gelu(self.run(f"stage{stage}_conv2_bn", self.run(f"stage{stage}_conv2", x)))
        return self.run("logits", x.amax((2, 3)) / self.widths[-1])


class BottleneckDenseNet(Named):
    """DenseNet-BC of Huang et al. (2017) for small images; normalizes pixels like `ThinVGG`."""

    def __init__(self, layers: int, growth: int) -> None:
        super().__init__()
        self.layers = layers
        width = 2 * growth
        self.part("stem_conv", nn.Conv2d(3, width, 3, padding=1, bias=False))
        for stage in (1, 2, 3):
            for layer in range(1, layers + 1):
                name = f"stage{stage}_layer{layer}"
                self.bn_conv(f"{name}_bottleneck", width, 4 * growth, 1)
                self.bn_conv(name, 4 * growth, growth, 3)
                width += growth
            if stage < 3:
                self.bn_conv(f"stage{stage}_transition", width, width // 2, 1)
                width //= 2
        self.part("final_bn", nn.BatchNorm2d(width))
        self.part("logits", nn.Linear(width, 10))

    def bn_conv(self, name: str, inputs: int, outputs: int, kernel: int) -> None:
        self.part(f"{name}_bn", nn.BatchNorm2d(inputs))
        self.part(f"{name}_conv", nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False))

    def conv(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.run(f"{name}_conv", F.relu(self.run(f"{name}_bn", x)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in (MEAN, STD))
        x = self.run("stem_conv", (pixels / 255 - mean) / std)
        for stage in (1, 2, 3):
            for layer in range(1, self.layers + 1):
                name = f"stage{stage}_layer{layer}"
                x = torch.cat([x, self.conv(name, self.conv(f"{name}_bottleneck", x))], 1)
            if stage < 3:
                x = F.avg_pool2d(self.conv(f"stage{stage}_transition", x), 2)
        return self.run("logits", F.relu(self.run("final_bn", x)).mean((2, 3)))


class ReducingLeNet(Named):
    """Report d's LeNet; divides pixels by 255."""

    def __init__(self, layers: int, reduction: str, filters: int = 32) -> None:
        super().__init__()
        self.layers, self.reduction = layers, reduction
        for i in range(layers):
            self.part(f"block{i + 1}_conv", nn.Conv2d(filters if i else 1, filters, 3, padding=1, bias=False))
            spacing = {"strided": {"stride": 2}, "dilated": {"dilation": i + 2}}.get(reduction)
            if spacing is not None:
                conv: Any = nn.Conv2d(filters, filters, 3, padding=1, bias=False, **spacing)
                self.part(f"block{i + 1}_reduction_conv", conv)
        self.part("logits", nn.Linear(4 * filters, 47, bias=False))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = pixels / 255
        for i in range(self.layers):
            x = F.relu(self.run(f"block{i + 1}_conv", x))
            if self.reduction == "max":
                x = F.max_pool2d(x, 2, 2, padding=1)
            elif self.reduction == "average":
                x = F.avg_pool2d(x, 2, 2, padding=1)
            else:
                x = F.relu(self.run(f"block{i + 1}_reduction_conv", x))
        return self.run("logits", flat(F.adaptive_avg_pool2d(x, 2)))


def copy_weights(model: Any, reference: nn.Module) -> None:
    """Copy the Keras model's weights into the reference; every layer with weights must have a counterpart."""
    named = dict(reference.named_children())
    for layer in model.layers:
        if not layer.weights:
            continue
        part, values = named.pop(layer.name), [torch.tensor(value) for value in layer.get_weights()]
        with torch.no_grad():
            if isinstance(part, nn.BatchNorm2d):
                targets = [part.weight, part.bias, part.running_mean, part.running_var]
                for target, value in zip(targets[-len(values) :], values, strict=True):  # some BatchNorms have no scale
                    target.copy_(value)
                continue
            kernel = values[0].permute(3, 2, 0, 1) if isinstance(part, nn.Conv2d) else values[0].T
            assert part.weight.shape == kernel.shape, layer.name
            part.weight.copy_(kernel)
            if part.bias is not None:
                part.bias.copy_(values[1])
    assert not named, f"not in the Keras model: {sorted(named)}"


def logits(reference: nn.Module, images: Any) -> Any:
    """The reference's logits for images (batch, height, width, channels), as NumPy."""
    with torch.no_grad():
        return reference.eval()(torch.tensor(images).permute(0, 3, 1, 2)).numpy()
