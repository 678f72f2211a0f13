"""The recipe of `resnet8-fashion-mnist`: train, export, quantise, measure, in one visible file.

    python -m nfkit.models.zoo.resnet8_fashion_mnist --data DIR -o DIR

`--data` holds the four `*-ubyte.gz` files of Fashion-MNIST. The network is the ResNet-8 of MLPerf Tiny with
one input channel; it sees pixel / 127.5 - 1. Training takes bfloat16 arithmetic and so repeats to the bit
only on one kind of processor with one torch release and one number of threads.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn

from nfkit.access.runtime import Runner
from nfkit.access.runtime import accuracy as measure
from nfkit.graph.quantised.from_float import quantize_static

NAME = "resnet8_fashion_mnist_int8"
OPSET = 18  # the lowest that torch writes natively
SEED = 2024
EPOCHS = 16
BATCH = 128
PEAK_RATE = 0.2  # of the one-cycle schedule, for SGD with Nesterov momentum
CALIBRATION = 512  # training images that set the activation ranges
SLICE = {"train": 6000, "test": 1000}  # images that travel with the package


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet8() -> nn.Sequential:
    """The untrained network: image [N, 1, 28, 28] -> logits [N, 10]."""
    stem = nn.Sequential(nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    head = nn.Linear(64, 10)
    layers = {
        "stem": stem,
        "block1": Block(16, 16, 1),
        "block2": Block(16, 32, 2),
        "block3": Block(32, 64, 2),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "head": head,
    }
    return nn.Sequential(OrderedDict(layers))


def read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads images uint8 [N, 28, 28] and labels int64 [N] of part `train` or `t10k`."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def normalise(pixels: np.ndarray) -> np.ndarray:
    """Images uint8 [N, 28, 28] -> model input float32 [N, 1, 28, 28] in [-1, 1]."""
    image: np.ndarray = pixels[:, None].astype(np.float32) / np.float32(127.5) - np.float32(1)
    return image


def augment(x: Tensor) -> Tensor:
    """Shifts each image of [N, 28, 28] by up to two pixels, and mirrors every other one."""
    count = len(x)
    padded = nn.functional.pad(x, (2, 2, 2, 2))
    rows = torch.arange(28) + torch.randint(0, 5, (count, 1))  # [N, 28]
    columns = torch.arange(28) + torch.randint(0, 5, (count, 1))
    columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(pixels: np.ndarray, labels: np.ndarray) -> nn.Sequential:
    """Trains from `SEED` on images uint8 [N, 28, 28], labels int64 [N]; returns the network in eval mode."""
    torch.manual_seed(SEED)
    model = resnet8()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, targets = torch.from_numpy(pixels.copy()), torch.from_numpy(labels)
    steps = len(images) // BATCH
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.SGD(groups, lr=PEAK_RATE, momentum=0.9, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_RATE, EPOCHS * steps, pct_start=0.2, cycle_momentum=False
    )
    for epoch in range(EPOCHS):
        order, total = torch.randperm(len(images)), 0.0
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            x = (augment(images[chosen]).float() / 127.5 - 1)[:, None].to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(x)
            loss = nn.functional.cross_entropy(logits.float(), targets[chosen], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2} of {EPOCHS}: loss {total / steps:.4f}", flush=True)
    return model.eval()


def export(model: nn.Sequential) -> ir.Model:
    """Writes the network as float ONNX, `image` [batch, 1, 28, 28] -> `logits` [batch, 10], norms folded."""
    program = torch.onnx.export(
        model.to(memory_format=torch.contiguous_format),  # type: ignore[call-overload]
        (torch.zeros(2, 1, 28, 28),),
        dynamo=True,
        external_data=False,
        opset_version=OPSET,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None  # what torch returns without dynamo
    # The exporter's notes: stack traces with the paths of whoever ran the recipe, and what was folded.
    ClearMetadataAndDocStringPass()(program.model)
    graph = program.model.graph
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
    graph.name = NAME.removesuffix("_int8")
    return program.model


def accuracy(model: ir.Model, pixels: np.ndarray, labels: np.ndarray) -> float:
    """Share of images uint8 [N, 28, 28] that ONNX Runtime, at its basic level, classifies rightly."""
    return measure(Runner(model, level="basic"), normalise(pixels), labels)


def write_slice(folder: Path, path: Path) -> None:
    """Writes the first images of both parts, uint8 [N, 28, 28, 1] and int64 [N], as one compressed file."""
    arrays = {}
    for name, part in (("train", "train"), ("test", "t10k")):
        pixels, labels = read(folder, part)
        arrays[f"x_{name}"] = pixels[: SLICE[name], :, :, None]
        arrays[f"y_{name}"] = labels[: SLICE[name]]
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes them for a flag


def main() -> None:
    """Runs the recipe from the images to the accuracies."""
    parser = argparse.ArgumentParser(description="Trains, exports, quantises and measures ResNet-8.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four *-ubyte.gz files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the model and the slice")
    parser.add_argument("--weights", type=Path, help="state dict to use, or to write if it is not there")
    arguments = parser.parse_args()
    pixels, labels = read(arguments.data, "train")

    if arguments.weights and arguments.weights.exists():
        model = resnet8().eval()
        model.load_state_dict(torch.load(arguments.weights, weights_only=True))
    else:
        model = train(pixels, labels)
        if arguments.weights:
            torch.save(model.state_dict(), arguments.weights)

    floating = export(model)
    quantised = quantize_static(floating, normalise(pixels[:CALIBRATION]))
    write_slice(arguments.data, arguments.output / "resnet8_fashion_mnist_int8.npz")
    path = arguments.output / f"{NAME}.onnx"
    ir.save(quantised, path)
    print(f"sha256 of {path.name}: {hashlib.sha256(path.read_bytes()).hexdigest()}")

    test = read(arguments.data, "t10k")
    first = (test[0][: SLICE["test"]], test[1][: SLICE["test"]])
    for kind, graph in (("float", floating), ("int8", ir.load(path))):
        print(f"{kind}: {accuracy(graph, *test):.2%} of all, {accuracy(graph, *first):.1%} of the slice")


if __name__ == "__main__":
    main()
