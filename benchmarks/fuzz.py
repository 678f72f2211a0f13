"""Damages small models in every way that a protobuf message can be damaged, and tries on each what needs no training.

    python benchmarks/fuzz.py [--cases 20000] [--seed 0] [--json FILE]

Ten models of different forms are mutated field by field: dropped, doubled, swapped, set to extremes, given to other
names; some as bytes, some in their metadata. Each goes through the library calls behind the commands. Anything but an
answer or an `NfkitError` is a failure, and so is a call beyond the limits of time (SECONDS) and memory (MEMORY).
Equal seeds give equal cases, each by itself: `--first` goes on where a run was stopped. `tests/benchmarks/test_fuzz.py`
runs some of them.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.descriptor import FieldDescriptor

from nfkit.data import Dataset
from nfkit.energy import load_curve
from nfkit.errors import NfkitError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.canonical.view import canonical
from nfkit.graph.fusion.caution import with_caution
from nfkit.graph.fusion.fuse import fuse, transfer
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import count_faults, inject, remove
from nfkit.graph.input.discovery import find_input
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.inventory import inventory
from nfkit.graph.memory.sites import fault_sites
from nfkit.graph.quantised.fold import fold
from nfkit.graph.quantised.preparation import prepare
from nfkit.graph.quantised.requantise import requantise
from nfkit.learn.gradients.obstacles import find_unsupported
from nfkit.measure.evaluation import evaluate
from nfkit.model import load, save, sha256, to_bytes
from nfkit.plans.energy_analysis import analyse
from nfkit.reports.provenance import versions

SECONDS = 10
"""Longest time of one call, of the processor: other work on the machine does not count."""
PART = 250
"""Cases after which it is told how far a run has come, and the record is written."""
MEMORY = 4 * 2**30
"""Address space beyond what the process has when it begins."""

HEAD = '<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1, "own" : 1]>'
TEXTS = {
    "qdq": """ g (float[N, 2, 4, 4] x) => (float[N, 3] y) <float s = {0.01}, int8 z = {0},
            float[3] sw = {0.01, 0.02, 0.03}, int8[3, 2, 1, 1] w = {1, -2, 3, 4, -5, 6},
            int32[3] b = {1, 2, 3}, float t = {0.1}, uint8 zd = {128}, uint8[3, 3] d = {1, 2, 3, 4, 5, 6, 7, 8, 9}> {
            q = QuantizeLinear (x, s, z)  f = DequantizeLinear (q, s, z)
            wf = DequantizeLinear <axis = 0> (w, sw)  bf = DequantizeLinear <axis = 0> (b, sw)
            c = Conv <kernel_shape = [1, 1]> (f, wf, bf)  r = Relu (c)  p = GlobalAveragePool (r)  l = Flatten (p)
            df = DequantizeLinear (d, t, zd)  y = MatMul (l, df) }""",
    "operators": """ g (uint8[N, 2, 4, 4] x) => (float[N, 3] y) <float s = {0.01}, uint8 z = {128}, float sw = {0.02},
            int8 zw = {0}, int8[3, 2, 3, 3] w, int8[48, 3] v> {
            c = QLinearConv <pads = [1, 1, 1, 1]> (x, s, z, w, sw, zw, s, z)  l = Flatten (c)
            m = MatMulInteger (l, v, z)  y = Cast <to = 1> (m) }""",
    "dynamic": """ g (float[N, 4] x) => (float[N, 3] y) <uint8[4, 3] w, uint8 z = {7}, float s = {0.5}> {
            q, sx, zx = DynamicQuantizeLinear (x)  m = MatMulInteger (q, w, zx, z)  c = Cast <to = 1> (m)
            k = Mul (sx, s)  y = Mul (c, k) }""",
    "packed": """ g (float[N, 4] x) => (float[N, 6] y) <int4[4, 6] w, float[1, 6] s = {1, 2, 3, 4, 5, 6},
            int64[2] shape = {-1, 6}> {
            f = DequantizeLinear <axis = 0, block_size = 4> (w, s)  m = MatMul (x, f)  y = Reshape (m, shape) }""",
    "bodies": """ g (float[N, 3] x) => (float[N, 3] y) <bool c = {1}, int8[3, 3] w, float s = {0.1}> {
            h = If (c) <then_branch = a () => (float[N, 3] p) <int8[3, 3] v = {1, 2, 3, 4, 5, 6, 7, 8, 9}>
              { vf = DequantizeLinear (v, s)  p = MatMul (x, vf) },
              else_branch = e () => (float[N, 3] q) { k = Constant <value = float {2.0}> ()  q = Mul (x, k) }>
            f = DequantizeLinear (w, s)  y = MatMul (h, f) }""",
    "functions": """ g (float[N, 3] x) => (float[N, 3] y) <int8[3, 3] w, float s = {0.1}> {
            h = own.layer <a = 0.5> (x, w, s)  y = own.layer <a = 0.25> (h, w, s) }
            <domain: "own", opset_import: ["" : 21, "own" : 1]> layer <a> (i, j, k) => (o) {
            f = DequantizeLinear (j, k)  m = MatMul (i, f)  l = LeakyRelu <alpha : float = @a> (m)
            o = own.shift (l) }
            <domain: "own", opset_import: ["" : 21]> shift (i) => (o) {
            c = Constant <value = float[3] {1, 2, 3}> ()  o = Add (i, c) }""",
    "float": """ g (float[N, 2, 4, 4] x) => (float[N, 3] y) <float[3, 2, 3, 3] w, float[3] b = {1, 2, 3},
            float[3] u = {1, 2, 3}, float s = {0.1}, int8 z = {0}, float low = {-1}, float high = {1}> {
            k = Clip (x, low, high)  q = QuantizeLinear (w, s, z)  f = DequantizeLinear (q, s, z)
            c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (k, f)
            n = BatchNormalization (c, u, b, b, u)  p = MaxPool <kernel_shape = [2, 2]> (n)  l = Flatten (p)
            y = Identity (l) }""",
    "moves": """ g (float[N, 4] x) => (float[N, 4] y) <uint8[2, 2, 4] w, float s = {0.1}, uint8 z = {3},
            int64[2] shape = {4, 4}, int64[2] half = {2, 2}> {
            a, b = Split <axis = 2> (w, half)  t = Concat <axis = 2> (b, a)  r = Reshape (t, shape)
            u = Transpose <perm = [1, 0]> (r)  f = Cast <to = 1> (u)  g0 = Cast <to = 1> (z)  h = Sub (f, g0)
            k = Mul (h, s)  y = Gemm <alpha = 2.0, transB = 1> (x, k) }""",
}  # fmt: skip
RESIDUAL = """<ir_version: 8, opset_import: ["" : 21]> generator (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] out)
    <float s = {0.01}, float low = {-1}, float high = {1}, int8[2, 2, 1, 1] k = {1, 2, 3, 4}> {
    f = DequantizeLinear (k, s)  r = Conv (image, f)  a = Add (image, r)  out = Clip (a, low, high) }"""


def build_models() -> dict[str, onnx.ModelProto]:
    """The ten models, by name."""
    models = {}
    for name, text in TEXTS.items():
        proto = onnx.parser.parse_model(HEAD + text)
        numbers = np.random.default_rng(0)
        held = {tensor.name for tensor in proto.graph.initializer}
        for value in [v for v in proto.graph.value_info if v.name not in held]:  # declared, and not stored by the text
            kind = value.type.tensor_type.elem_type
            shape = [extent.dim_value for extent in value.type.tensor_type.shape.dim]
            content = numbers.integers(0, 7, shape).ravel()
            proto.graph.initializer.append(onnx.helper.make_tensor(value.name, kind, shape, content))
        del proto.graph.value_info[:]
        models[name] = proto
    base = load(models["qdq"])
    spec = find_input(base, value_range=(-1, 1))
    results = json.dumps([{"ber": 0.01, "recovery": {"mean": 0.1}}])
    fused = fuse(load(onnx.parser.parse_model(RESIDUAL)), base, spec, {"nfkit.results": results})
    models["fused"] = ir.to_proto(fused)
    models["baked"] = ir.to_proto(inject(base, fault_sites(base), Chip(1), BitErrors(0.1), "baked"))
    return models


# --- damage ---

Slot = tuple[Any, FieldDescriptor]
EXTREMES = (0, 1, -1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**40, 2**62, -(2**31), -(2**63))
WORDS = ("", "x", "nfkit/protected", "ai.onnx", "Conv", "Identity", "é" * 40, "a" * 300, "../../etc/passwd", "#2", "{}")


def slots(message: Any) -> Iterator[Slot]:
    """All fields of a message and of those in it, set or not."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is None:
            continue
        if field.is_repeated:
            for inner in getattr(message, field.name):
                yield from slots(inner)
        elif message.HasField(field.name):
            yield from slots(getattr(message, field.name))


def is_set(message: Any, field: FieldDescriptor) -> bool:
    """Whether a field holds anything."""
    return bool(getattr(message, field.name)) if field.is_repeated else message.HasField(field.name)


def damage(proto: onnx.ModelProto, chance: random.Random) -> bytes:
    """A damaged copy, serialised."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    kind = chance.random()
    if kind < 0.1 and copy.metadata_props:
        change_metadata(copy, chance)
    for _ in range(chance.choice((1, 1, 1, 2, 3)) if kind >= 0.1 else 0):
        found = list(slots(copy))
        held = [slot for slot in found if is_set(*slot)]
        message, field = chance.choice(held if chance.random() < 0.85 else found)
        with contextlib.suppress(ValueError, TypeError):  # what protobuf itself does not take
            change(message, field, found, chance)
    content = bytearray(copy.SerializeToString())
    if kind > 0.93:
        change_bytes(content, chance)
    return bytes(content)


def change(message: Any, field: FieldDescriptor, found: list[Slot], chance: random.Random) -> None:
    """Changes one field in place."""
    if chance.random() < 0.25:
        message.ClearField(field.name)
        return
    if not field.is_repeated:
        if field.message_type is None:
            setattr(message, field.name, another(field, getattr(message, field.name), found, chance))
        else:
            getattr(message, field.name).SetInParent()
        return
    items = getattr(message, field.name)
    action, count = chance.choice(("remove", "double", "swap", "set", "add", "many")), len(items)
    if action in ("remove", "double", "swap", "set") and not count:
        action = "add"
    index = chance.randrange(count) if count else 0
    if field.message_type is not None:
        if action == "remove":
            del items[index]
        elif action == "add":
            items.add()
        elif action == "many":
            for _ in range(70):
                items.add()
        else:
            items.add().CopyFrom(items[index])
            if action != "double":
                items[index].CopyFrom(items[chance.randrange(count)])
    elif action == "remove":
        del items[index]
    elif action == "double":
        items.append(items[index])
    elif action == "swap":
        other = chance.randrange(count)
        items[index], items[other] = items[other], items[index]
    elif action == "set":
        items[index] = another(field, items[index], found, chance)
    else:
        items.extend(another(field, None, found, chance) for _ in range(70 if action == "many" else 1))


def another(field: FieldDescriptor, value: Any, found: list[Slot], chance: random.Random) -> Any:
    """Another value of the field's type: an extreme, or that of a field elsewhere."""
    if field.type == FieldDescriptor.TYPE_STRING:
        texts = [getattr(m, f.name) for m, f in found if f.type == FieldDescriptor.TYPE_STRING and not f.is_repeated]
        return chance.choice((*WORDS, *texts, *texts))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.choice((b"", b"\xff", (value or b"")[:-1], (value or b"") + b"\0", b"\0" * 64))
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return chance.choice((0.0, -1.0, 1e38, float("inf"), float("nan"), 1e-45))
    if field.type == FieldDescriptor.TYPE_ENUM:
        return chance.choice((*field.enum_type.values_by_number, 99))
    return chance.choice((*EXTREMES, *range(26)))


def change_metadata(proto: onnx.ModelProto, chance: random.Random) -> None:
    """Drops an entry, or damages its text."""
    entry = chance.choice(proto.metadata_props)
    text, cut = entry.value, chance.randrange(len(entry.value) + 1)
    entry.value = chance.choice(
        ("", "{}", "[]", "null", "[" * 3000, text[:cut], text[:cut] + text[cut + 1 :], text.replace('"', "", 1),
         text.replace("4", "-4"), text.replace("[", "{"), chance.choice(proto.metadata_props).value)
    )  # fmt: skip
    if chance.random() < 0.3:
        proto.metadata_props.remove(entry)


def change_bytes(content: bytearray, chance: random.Random) -> None:
    """Cuts the message off, or changes some bytes of it."""
    if chance.random() < 0.3:
        del content[chance.randrange(len(content)) :]
    for _ in range(chance.choice((0, 1, 3)) if content else 0):
        content[chance.randrange(len(content))] = chance.randrange(256)


# --- use ---

CURVE = load_curve("stutz-2021")


def samples(spec: InputSpec) -> Dataset:
    """Two samples of the model's own type and shape."""
    dtype = np.dtype(spec.dtype)
    x = np.random.default_rng(0).uniform(0, 1, (2, *spec.shape)).astype(dtype)
    return Dataset("fuzz", x, np.array([0, 1]))


def measure(model: ir.Model) -> None:
    """What `nfkit evaluate` does, with two samples and one chip."""
    spec = find_input(model)
    evaluate(model, samples(spec), spec, [BitErrors(0.1)], chips=[50_000])


def fault(mode: Any) -> Callable[[ir.Model], None]:
    """What `nfkit inject` does, there and back."""

    def use(model: ir.Model) -> None:
        sites, chip = fault_sites(model), Chip(50_000)
        faulty = inject(model, sites, chip, BitErrors(0.1), mode)
        count_faults(model, sites, chip, BitErrors(0.1))
        remove(load(onnx.load_from_string(to_bytes(faulty))))

    return use


def use_records(model: ir.Model) -> None:
    """What fused and faulted files are read for."""
    with contextlib.suppress(NfkitError):
        split(model)
    with contextlib.suppress(NfkitError):
        with_caution(model, 2.0)
    with contextlib.suppress(NfkitError):
        transfer(model, load(MODELS["qdq"]), find_input(load(MODELS["qdq"]), value_range=(-1, 1)))
    remove(model)


def inspect(model: ir.Model) -> None:
    """What `nfkit inspect` does."""
    inventory(model)
    find_unsupported(model)
    find_input(model)


USES: dict[str, Callable[[ir.Model], Any]] = {
    "inspect": inspect,
    "energy": lambda model: analyse(model, CURVE.at_rate(0.01), CURVE),
    "inject node": fault("node"),
    "inject input": fault("input"),
    "inject baked": fault("baked"),
    "evaluate": measure,
    "records": use_records,
    "fold": fold,
    "requantise": lambda model: requantise(model, 4),
    "quantize": prepare,
    "canonical": canonical,
    "write": lambda model: save(model, Path(os.devnull)),
    "digest": sha256,
}
MODELS = build_models()


@dataclass(frozen=True)
class Failure:
    """One call that neither answered nor refused."""

    case: int
    model: str
    use: str
    kind: str
    where: str


class _TooLong(BaseException):
    """Raised by the clock; no `except Exception` catches it."""


def attempt(action: Callable[[], Any]) -> tuple[Any, str, BaseException | None]:
    """An action's result, how it ended (answered, refused or failed), and what it raised."""
    try:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            return action(), "answered", None
        except NfkitError as error:
            return None, "refused", error
        except Exception as error:
            return None, "failed", error
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _TooLong as error:  # it may ring while the clock is being stopped
        return None, "failed", error


def run(
    cases: int, seed: int = 0, *, first: int = 0, uses: dict[str, Any] | None = None
) -> tuple[dict[str, int], list[Failure]]:
    """Runs cases of a seed, and counts how their calls ended."""
    failures, counts = [], collections.Counter[str]()
    before = signal.signal(signal.SIGPROF, _ring)
    names = list(MODELS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.onnx")
        for case in range(first, first + cases):
            chance = random.Random(f"{seed}.{case}")
            name = names[case % len(names)]
            path.write_bytes(damage(MODELS[name], chance))
            model, end, error = attempt(partial(load, path))
            calls = (uses or USES).items() if end == "answered" else [("load", None)]
            for use, action in calls:
                if action is not None:
                    _, end, error = attempt(partial(action, model))
                counts[end] += 1
                if end == "failed":
                    failures.append(Failure(case, name, use, f"{type(error).__name__}: {error}"[:200], where(error)))
    signal.signal(signal.SIGPROF, before)
    return dict(counts), failures


def where(error: BaseException | None) -> str:
    """The innermost line of nfkit, and that of what it called."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    ours = [frame for frame in frames if "/nfkit/" in frame.filename or "nfkit" in Path(frame.filename).parts]
    shown = [ours[-1], frames[-1]] if ours else frames[-1:]
    return " > ".join(dict.fromkeys(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in shown))


def _ring(*_: Any) -> None:
    raise _TooLong(f"more than {SECONDS} s")


def limit_memory() -> None:
    """Bounds the address space of this process."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def main() -> None:
    """Runs the cases, prints failures by place, and exits with 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.disable()  # onnx-ir says at length what it leaves out
    limit_memory()
    begun, counts, failures, done = time.monotonic(), collections.Counter[str](), list[Failure](), 0
    while done < options.cases:
        part = min(PART, options.cases - done)
        ended, failed = run(part, options.seed, first=options.first + done)
        counts.update(ended)
        failures += failed
        done += part
        for f in failed:
            print(f"case {f.case}, {f.model}, {f.use}: {f.kind}  ({f.where})", flush=True)
        spent = time.monotonic() - begun
        print(
            f"{done:,} of {options.cases:,} models, {len(failures)} failures, {spent:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        if options.json:
            command = f"python benchmarks/fuzz.py --cases {options.cases} --first {options.first} --seed {options.seed}"
            record = {
                "schema": "nfkit.speed/1", "benchmark": "fuzz", "command": command, "cases": done,
                "counts": dict(counts), "failures": [vars(f) for f in failures], "seconds": round(spent),
                "versions": versions(),
            }  # fmt: skip
            options.json.write_text(json.dumps(record, indent=1) + "\n")
    places = collections.Counter((f.use, f.where, f.kind[:90]) for f in failures)
    for (use, place, kind), number in places.most_common():
        print(f"{number:>5}  {use:<13} {place}: {kind}")
    print(f"{options.cases} models, {dict(counts)}, {len(failures)} failures, {time.monotonic() - begun:.0f} s")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
