"""A generator in front of a frozen base, and the two taken apart again."""

import dataclasses
import itertools
import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.errors import ModelError, UnsupportedError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse, transfer
from nfkit.graph.fusion.fused import is_fused
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import inject, remove
from nfkit.graph.input.discovery import find_input
from nfkit.graph.input.spec import InputSpec
from nfkit.graph.memory.sites import fault_sites, find_sites
from nfkit.model import load, save, to_bytes

HEADER = '<ir_version: 10, opset_import: ["" : 18], metadata_props: ["owner" : "someone"]>\n'

# F(x) = clip(x + push), under names that the bases use as well.
GENERATOR = """
<ir_version: 10, opset_import: ["" : 18]>
generator (float[N, C, H, W] image) => (float[N, C, H, W] scores) <float low = {-1}, float high = {1}> {
    [first] c = Add (image, w)
    [second] scores = Clip (c, low, high)
}
"""

NHWC = """
g (KIND[batch, 4, 4, 2] image) => (float[batch, 3] scores) <float s = {0.0078125}, KIND z = {ZERO}, int8 zw = {0}> {
    [first] image_f = DequantizeLinear (image, s, z)
    c = Transpose <perm = [0, 3, 1, 2]> (image_f)
    w_f = DequantizeLinear (w, s, zw)
    r = Conv (c, w_f)
    p = GlobalAveragePool (r)
    scores = Flatten (p)
}
"""
FLAT = "(float[N, 32] image) => (float[N, 3] scores) { f = Identity (image) "
ROWS = "(float[N, 4, 8] image) => (float[N, 3] scores) { f = Flatten (image) "
STATIC = "(float[4, 2, 4, 4] image) => (float[4, 3] scores) { f = Flatten (image) "
HALF = "(float16[N, 2, 4, 4] image) => (float[N, 3] scores) { e = Cast <to = 1> (image) f = Flatten (e) "
FORKED = "(float[N, 2, 4, 4] image) => (float[N, 3] scores) { e = Mul (image, image) f = Flatten (e) "
DENSE = "w_f = DequantizeLinear (w, s) scores = MatMul (f, w_f) }"


@pytest.fixture(scope="module")
def push():
    generator = np.random.default_rng(9)
    return lambda shape: generator.normal(0, 0.3, shape).astype(np.float32)


@pytest.fixture(scope="module")
def cases(convnet, parse):
    """Bases by name, each with its input."""
    generator = np.random.default_rng(8)
    kernel = generator.integers(-128, 128, (3, 2, 1, 1), np.int8)
    table = generator.integers(-128, 128, (32, 3), np.int8)

    def dense(signature):
        open_brace = signature.index("{")
        head, body = signature[:open_brace], signature[open_brace:]
        return parse(f"{HEADER} g {head} <float s = {{0.0078125}}> {body} {DENSE}", w=table)

    def channels_last(kind, zero):
        return parse(HEADER + NHWC.replace("KIND", kind).replace("ZERO", str(zero)), w=kernel)

    unit = {"value_range": (0.0, 1.0)}
    bases = {
        "unit": (convnet(), {}),
        "mean-std": (convnet(), {"mean": (0.5, 0.25), "std": (0.25, 0.5)}),
        "int8-nhwc": (channels_last("int8", 0), {}),
        "uint8-nhwc": (channels_last("uint8", 128), {}),
        "rows": (dense(ROWS), unit),
        "flat": (dense(FLAT), unit),
        "static": (dense(STATIC), unit),
        "float16": (dense(HALF), unit),
        "forked": (dense(FORKED), unit),
    }
    return {name: (base, find_input(base, **options)) for name, (base, options) in bases.items()}


NAMES = ("unit", "mean-std", "int8-nhwc", "uint8-nhwc", "rows", "flat", "static", "float16", "forked")


@pytest.fixture(params=NAMES)
def case(request, cases):
    return cases[request.param]


@pytest.fixture
def generator_for(parse, push):
    return lambda spec: parse(GENERATOR, w=push(spec.image_shape))


def samples(spec):
    """Four samples in the model's input space, reaching both ends of the range."""
    levels = np.random.default_rng(10).uniform(-1, 1, (4, *spec.image_shape)).astype(np.float32)
    levels[0], levels[1] = -1, 1
    return spec.denormalise(levels)


def by_hand(v, spec, generator):
    """The protected input, one float32 operation at a time as the prefix does."""
    push = generator.graph.initializers["w"].const_value.numpy()
    low, high = np.array(spec.low), np.array(spec.high)
    centre = ((high + low) / 2).astype(np.float32).reshape(-1, 1, 1)
    half = ((high - low) / 2).astype(np.float32).reshape(-1, 1, 1)
    x = v.astype(np.float32)
    x = x.transpose(0, 3, 1, 2) if spec.layout == "NHWC" else x.reshape(len(x), *spec.image_shape)
    y = np.clip((x - centre) / half + push, np.float32(-1), np.float32(1)) * half + centre
    y = y.transpose(0, 2, 3, 1) if spec.layout == "NHWC" else y.reshape(v.shape)
    if np.issubdtype(v.dtype, np.integer):
        y = np.clip(np.rint(y), np.iinfo(v.dtype).min, np.iinfo(v.dtype).max)
    return y.astype(v.dtype)


def test_fused_is_the_generator_then_the_base(case, generator_for, execute):
    base, spec = case
    generator, v = generator_for(spec), samples(spec)
    protected = by_hand(v, spec, generator)
    assert protected.tobytes() != v.tobytes()
    fused = fuse(generator, base, spec, {})
    assert execute(fused, {"image": v})[0].tobytes() == execute(base, {"image": protected})[0].tobytes()


def test_the_input_is_that_of_the_base(case, generator_for):
    base, spec = case
    fused = fuse(generator_for(spec), base, spec, {})
    before, after = ir.to_proto(base).graph, ir.to_proto(fused).graph
    assert [v.SerializeToString() for v in after.input] == [v.SerializeToString() for v in before.input]
    assert [v.SerializeToString() for v in after.output] == [v.SerializeToString() for v in before.output]
    onnx.checker.check_model(ir.to_proto(fused), full_check=True)


def test_frozen_half_is_equal_node_by_node_and_byte_by_byte(case, generator_for):
    base, spec = case
    before, after = ir.to_proto(base).graph, ir.to_proto(fuse(generator_for(spec), base, spec, {})).graph
    frozen = [n for n in after.node if ("nfkit.role", "generator") not in {(p.key, p.value) for p in n.metadata_props}]
    for node in frozen:
        node.input[:] = ["image" if name == "nfkit/protected" else name for name in node.input]
    assert [n.SerializeToString() for n in frozen] == [n.SerializeToString() for n in before.node]
    kept = [t.SerializeToString() for t in after.initializer if not t.name.startswith("nfkit/")]
    assert kept == [t.SerializeToString() for t in before.initializer]


def test_splitting_gives_back_the_base(case, generator_for):
    base, spec = case
    _, restored = split(fuse(generator_for(spec), base, spec, {"nfkit.note": "kept apart"}))
    assert to_bytes(restored) == to_bytes(base)


def test_prefix_maps_the_input_as_the_generator_does(case, generator_for, execute):
    base, spec = case
    generator, v = generator_for(spec), samples(spec)
    prefix, _ = split(fuse(generator, base, spec, {}))
    onnx.checker.check_model(ir.to_proto(prefix), full_check=True)
    protected = execute(prefix, {"image": v})[0]
    assert protected.dtype == v.dtype
    assert protected.tobytes() == by_hand(v, spec, generator).tobytes()


def test_splitting_works_on_a_saved_file(case, generator_for, tmp_path):
    base, spec = case
    save(fuse(generator_for(spec), base, spec, {}), tmp_path / "fused.onnx")
    _, restored = split(load(tmp_path / "fused.onnx"))
    assert to_bytes(restored) == to_bytes(base)


def test_arguments_stay_as_they_were(case, generator_for):
    base, spec = case
    generator = generator_for(spec)
    before = to_bytes(generator), to_bytes(base)
    fused = fuse(generator, base, spec, {})
    assert (to_bytes(generator), to_bytes(base)) == before
    after = to_bytes(fused)
    split(fused)
    assert to_bytes(fused) == after


def test_fusing_is_the_same_every_time(cases, parse):
    base, spec = cases["mean-std"]
    generator = parse(GENERATOR, w=np.zeros(spec.image_shape, np.float32))
    assert to_bytes(fuse(generator, base, spec, {})) == to_bytes(fuse(generator, base, spec, {}))


def test_no_two_values_share_a_name(case, generator_for):
    base, spec = case
    graph = ir.to_proto(fuse(generator_for(spec), base, spec, {})).graph
    defined = [v.name for v in graph.input] + [t.name for t in graph.initializer]
    defined += [name for node in graph.node for name in node.output]
    assert len(defined) == len(set(defined))
    nodes = [n.name for n in graph.node if n.name]
    assert len(nodes) == len(set(nodes))


def test_generator_with_the_names_of_the_interface_does_not_clash(cases, parse, execute):
    base, spec = cases["mean-std"]
    text = GENERATOR.replace("low", "interface_centre").replace("high", "interface_half_width")
    text = text.replace("first", "interface_0_Sub").replace("scores", "protected")
    generator, v = parse(text, w=np.full(spec.image_shape, 0.25, np.float32)), samples(spec)
    fused = fuse(generator, base, spec, {})
    protected = by_hand(v, spec, generator)
    assert execute(fused, {"image": v})[0].tobytes() == execute(base, {"image": protected})[0].tobytes()
    assert to_bytes(split(fused)[1]) == to_bytes(base)


def test_base_with_names_of_ours_is_refused(cases, generator_for):
    base, spec = cases["unit"][0].clone(), cases["unit"][1]
    base.graph.initializers["d"].name = "nfkit/d"
    with pytest.raises(ModelError, match="nfkit/"):
        fuse(generator_for(spec), base, spec, {})


def test_input_behind_overridable_initializers(parse, generator_for, execute):
    base = parse(f"{HEADER} g {FLAT} {DENSE}".replace("{ f", "<float s = {0.5}> { f"), w=np.ones((32, 3), np.int8))
    base.graph.inputs.insert(0, base.graph.initializers["s"])
    spec = find_input(base, value_range=(0, 1))
    generator, v = generator_for(spec), samples(spec)
    fused = fuse(generator, base, spec, {})
    protected = by_hand(v, spec, generator)
    assert execute(fused, {"image": v})[0].tobytes() == execute(base, {"image": protected})[0].tobytes()
    prefix, restored = split(fused)
    assert to_bytes(restored) == to_bytes(base)
    assert execute(prefix, {"image": v})[0].tobytes() == protected.tobytes()


def test_input_read_inside_a_branch_is_protected_as_well(parse, generator_for, execute):
    base = parse(
        HEADER
        + """g (float[N, 2, 4, 4] image) => (float[N, 2, 4, 4] scores) <float zero = {0}, float two = {2}> {
            total = ReduceSum <keepdims = 0> (image)
            positive = Greater (total, zero)
            scores = If (positive) <
                then_branch = plus () => (float[N, 2, 4, 4] a) { a = Add (image, two) },
                else_branch = times () => (float[N, 2, 4, 4] b) { b = Mul (image, two) }
            >
        }"""
    )
    spec = find_input(base, value_range=(0, 1))
    generator, v = generator_for(spec), samples(spec)
    fused = fuse(generator, base, spec, {})
    protected = by_hand(v, spec, generator)
    assert execute(fused, {"image": v})[0].tobytes() == execute(base, {"image": protected})[0].tobytes()
    assert to_bytes(split(fused)[1]) == to_bytes(base)


def tampered_weight(model):
    value = model.graph.initializers["w"]
    changed = value.const_value.numpy().copy()
    changed.flat[0] ^= 1
    value.const_value = ir.tensor(changed, name="w")


def tampered_attribute(model):
    node = next(n for n in model.graph if n.op_type == "Conv")
    node.attributes["pads"] = ir.AttrInt64s("pads", [0, 0, 0, 0])


def tampered_owner(model):
    model.metadata_props["owner"] = "someone else"


def tampered_node(model):
    relu = next(n for n in model.graph if n.op_type == "Relu")
    relu.outputs[0].replace_all_uses_with(relu.inputs[0])
    model.graph.remove(relu, safe=True)


@pytest.mark.parametrize("tamper", [tampered_weight, tampered_attribute, tampered_owner, tampered_node])
def test_base_that_was_changed_since_is_noticed(cases, generator_for, tamper):
    base, spec = cases["unit"]
    fused = fuse(generator_for(spec), base, spec, {})
    tamper(fused)
    with pytest.raises(ModelError, match="the base in this file differs from the one that was fused"):
        split(fused)


def test_joint_that_was_renamed_is_noticed(cases, generator_for):
    base, spec = cases["unit"]
    fused = fuse(generator_for(spec), base, spec, {})
    next(n.outputs[0] for n in fused.graph if n.outputs[0].name == "nfkit/protected").name = "other"
    with pytest.raises(ModelError, match="changed after fusing"):
        split(fused)


def test_fusing_twice_is_refused(cases, generator_for):
    base, spec = cases["unit"]
    fused = fuse(generator_for(spec), base, spec, {})
    assert (is_fused(base), is_fused(fused)) == (False, True)
    with pytest.raises(ModelError, match="already has a generator in front: split it first"):
        fuse(generator_for(spec), fused, spec, {})


def test_splitting_what_is_not_fused_is_refused(cases):
    with pytest.raises(ModelError, match="has no generator in front: nothing to split"):
        split(cases["unit"][0])


def test_splitting_and_fusing_again_is_the_same(cases, generator_for):
    base, spec = cases["unit"]
    generator = generator_for(spec)
    fused = fuse(generator, base, spec, {})
    assert to_bytes(fuse(generator, split(fused)[1], spec, {})) == to_bytes(fused)


@pytest.mark.parametrize("opset", [17, 20])
def test_other_operator_set_is_refused(cases, parse, opset):
    base, spec = cases["unit"]
    text = GENERATOR.replace('"" : 18', f'"" : {opset}')
    generator = parse(text, w=np.zeros(spec.image_shape, np.float32))
    with pytest.raises(UnsupportedError, match=f"versions {opset} and 18 of operator set 'ai.onnx'"):
        fuse(generator, base, spec, {})


def test_operator_sets_of_the_generator_come_and_go_with_it(cases, parse):
    base, spec = cases["unit"]
    text = GENERATOR.replace('"" : 18', '"" : 18, "com.microsoft" : 1').replace("ir_version: 10", "ir_version: 8")
    fused = fuse(parse(text, w=np.zeros(spec.image_shape, np.float32)), base, spec, {})
    assert fused.opset_imports == {"": 18, "com.microsoft": 1}
    assert fused.ir_version == 10
    assert split(fused)[1].opset_imports == {"": 18}


def test_metadata_of_the_base_is_kept_and_ours_is_added(cases, generator_for):
    base, spec = cases["unit"]
    fused = fuse(generator_for(spec), base, spec, {"nfkit.note": "hello"})
    assert fused.metadata_props["owner"] == "someone"
    assert fused.metadata_props["nfkit.note"] == "hello"
    assert InputSpec.from_dict(json.loads(fused.metadata_props["nfkit.input"])) == spec
    prefix, restored = split(fused)
    assert restored.metadata_props == {"owner": "someone"}
    assert prefix.metadata_props["nfkit.note"] == "hello"
    assert "owner" not in prefix.metadata_props
    assert not is_fused(prefix)
    assert not is_fused(restored)


def test_every_node_of_the_prefix_is_marked_and_named(case, generator_for):
    base, spec = case
    fused = fuse(generator_for(spec), base, spec, {})
    added = len(fused.graph) - len(base.graph)
    marked = [n for n in fused.graph if n.metadata_props.get("nfkit.role") == "generator"]
    assert [n.name.startswith("nfkit/") for n in marked] == [True] * added
    assert marked == list(itertools.islice(fused.graph, added))
    assert {n.name for n in fused.graph} >= {"nfkit/generator/first", "nfkit/generator/second"}


QUANTISED = """
<ir_version: 10, opset_import: ["" : 18]>
generator (float[N, 2, H, W] image) => (float[N, 2, H, W] out)
<float s = {0.0078125}, float low = {-1}, float high = {1}> {
    w_f = DequantizeLinear (w, s)
    c = Conv (image, w_f)
    out = Clip (c, low, high)
}
"""


@pytest.fixture
def quantised(cases, parse):
    base, spec = cases["unit"]
    kernel = np.array([[90, 40], [-30, 110]], np.int8).reshape(2, 2, 1, 1)
    return fuse(parse(QUANTISED, w=kernel), base, spec, {})


def test_sites_of_a_quantised_generator_are_marked(quantised):
    parts = {site.name: site.part for site in find_sites(quantised)}
    assert parts["nfkit/generator/w"] == "generator"
    assert {name for name, part in parts.items() if part == "generator"} == {"nfkit/generator/w"}
    assert [site.name for site in fault_sites(quantised)] == ["w", "d"]
    assert sorted(site.name for site in fault_sites(quantised, generator=True)) == ["d", "nfkit/generator/w", "w"]


def test_sites_of_the_base_are_those_it_had(quantised, cases):
    assert fault_sites(quantised) == fault_sites(cases["unit"][0])


@pytest.mark.parametrize("mode", ["node", "input", "baked"])
def test_faults_come_and_go_in_a_fused_model(quantised, mode):
    sites = fault_sites(quantised, generator=True)
    injected = inject(quantised, sites, Chip(50000), BitErrors(0.1), mode)
    assert to_bytes(remove(injected)) == to_bytes(quantised)


def test_a_transferred_generator_is_the_one_that_was_fused(case, generator_for, convnet, execute):
    base, spec = case
    generator = generator_for(spec)
    fused = fuse(generator, base, spec, {"nfkit.generator": "push", "nfkit.results": "[]"})
    other = base.clone()
    weight = next(site for site in find_sites(other) if site.role == "weight")
    value = other.graph.initializers[weight.name]
    value.const_value = ir.tensor(value.const_value.numpy() // 2, name=weight.name)

    moved = transfer(fused, other, spec)
    direct = fuse(generator, other, spec, {"nfkit.generator": "push"})
    assert to_bytes(split(moved)[1]) == to_bytes(other)
    assert moved.metadata_props == direct.metadata_props
    x = {"image": samples(spec)}
    assert execute(moved, x)[0].tobytes() == execute(direct, x)[0].tobytes()
    assert execute(moved, x)[0].tobytes() != execute(fused, x)[0].tobytes()


def test_a_generator_moves_to_an_input_of_another_name(cases, generator_for, execute):
    base, spec = cases["unit"]
    fused = fuse(generator_for(spec), base, spec, {})
    other = base.clone()
    other.graph.inputs[0].name = "pixels"
    moved = transfer(fused, other, dataclasses.replace(spec, name="pixels"))
    v = samples(spec)
    assert execute(moved, {"pixels": v})[0].tobytes() == execute(fused, {"image": v})[0].tobytes()


@pytest.mark.parametrize(("name", "change"), [("low", (-2.0,)), ("dtype", "int8"), ("layout", "NHWC")])
def test_a_generator_does_not_move_to_another_input(cases, generator_for, name, change):
    base, spec = cases["unit"]
    fused = fuse(generator_for(spec), base, spec, {})
    with pytest.raises(UnsupportedError, match=f"an input of {name} .*--range"):
        transfer(fused, base, dataclasses.replace(spec, **{name: change}))


def test_nothing_moves_from_a_bare_model_or_in_front_of_a_second_generator(cases, generator_for):
    base, spec = cases["unit"]
    fused = fuse(generator_for(spec), base, spec, {})
    with pytest.raises(ModelError, match="nothing to split"):
        transfer(base, base, spec)
    with pytest.raises(ModelError, match="already has a generator"):
        transfer(fused, fused, spec)
