"""Three forms of the same faults, and the way back to the very bytes that went in."""

import json
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfkit.errors import ModelError, OptionError, UnsupportedError
from nfkit.faults import BitErrors, Chip, flipped_bits, parse_layout
from nfkit.faults.codes import STORAGE_CODES
from nfkit.faults.kinds import KINDS
from nfkit.graph.injection.inject import MODES, chip_inputs, count_faults, inject, remove
from nfkit.graph.memory.bits import record_bits
from nfkit.graph.memory.sites import codes, fault_sites, find_sites
from nfkit.model import load, save, to_bytes

IMAGES = np.random.default_rng(4).uniform(-1, 1, (5, 2, 4, 4)).astype(np.float32)
CASES = [
    (kind, layout)
    for kind in KINDS
    for layout in ("iid", "array", "array:4x32", "reference")
    if layout != "reference" or KINDS[kind].published
]
# w and d share their first cells in all layouts but iid.
SHARED = """
<ir_version: 10, opset_import: ["" : 18]>
g (float[N, 2] image) => (float[N, 2] y) <int8[2, 2] w = {1, -2, 30, -4}, float s = {0.5}> {
    f = DequantizeLinear (w, s)
    a = MatMul (image, f)
    t = Transpose (w)
    h = DequantizeLinear (t, s)
    y = MatMul (a, h)
}
"""


def errors_of(kind, rate=0.15):
    return BitErrors.asymmetric(1.5 * rate, 0.5 * rate) if kind == "asymmetric" else BitErrors(rate, kind)


def image(model_input):
    return {"image": model_input}


@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_modes_compute_the_same(convnet, execute, kind, layout):
    model, errors = convnet(), errors_of(kind)
    sites = fault_sites(model, roles=("weight", "bias"))
    chip = Chip(50000, parse_layout(layout))
    clean = execute(model, image(IMAGES))[0]
    # What the faulty memories hold, put into the model by hand.
    by_hand = convnet()
    for site in sites:
        value = by_hand.graph.initializers[site.name]
        value.const_value = ir.tensor(chip.faults(site, errors).apply(codes(model, site)), name=site.name)
    expected = execute(by_hand, image(IMAGES))[0]
    assert expected.tobytes() != clean.tobytes()

    assert execute(inject(model, sites, chip, errors, "node"), image(IMAGES))[0].tobytes() == expected.tobytes()
    assert execute(inject(model, sites, chip, errors, "baked"), image(IMAGES))[0].tobytes() == expected.tobytes()
    open_to_any = inject(model, sites, chip, errors, "input")
    assert execute(open_to_any, image(IMAGES))[0].tobytes() == clean.tobytes()
    masks = chip_inputs(model, sites, chip, errors)
    assert execute(open_to_any, image(IMAGES) | masks)[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("storage", STORAGE_CODES)
def test_modes_compute_the_same_however_codes_are_held(convnet, execute, storage, kind):
    # Per-axis int8 with codes of -128, and uint8.
    model, errors, chip = convnet(), replace(errors_of(kind), storage=storage), Chip(50000)
    sites = fault_sites(model)
    assert {site.dtype for site in sites} == {"int8", "uint8"}
    by_hand, fault_free = convnet(), convnet()
    for site in sites:
        stored = codes(model, site)
        for copy, rate in ((by_hand, errors.rate), (fault_free, 0.0)):
            read = chip.faults(site, errors.at(rate)).apply(stored)
            copy.graph.initializers[site.name].const_value = ir.tensor(read, name=site.name)
    expected, clean = (execute(copy, image(IMAGES))[0].tobytes() for copy in (by_hand, fault_free))
    assert expected != clean

    node = inject(model, sites, chip, errors, "node")
    assert execute(node, image(IMAGES))[0].tobytes() == expected
    assert execute(inject(model, sites, chip, errors, "baked"), image(IMAGES))[0].tobytes() == expected
    open_to_any = inject(model, sites, chip, errors, "input")
    assert execute(open_to_any, image(IMAGES))[0].tobytes() == clean
    assert execute(open_to_any, image(IMAGES) | chip_inputs(model, sites, chip, errors))[0].tobytes() == expected
    for injected in (node, open_to_any):
        onnx.checker.check_model(ir.to_proto(injected), full_check=True)
        assert to_bytes(remove(injected)) == to_bytes(model)
        assert fault_sites(injected) == sites


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("storage", ["as-stored", "gray"])
def test_modes_compute_the_same_where_top_bits_have_rates_of_their_own(convnet, execute, storage, kind):
    model, chip = convnet(), Chip(50000)
    errors = replace(errors_of(kind), storage=storage, top_rates=(0.1, 0.5))
    sites, by_hand, plain = fault_sites(model), convnet(), convnet()
    for site in sites:
        for copy, left in ((by_hand, errors), (plain, replace(errors, top_rates=()))):
            read = chip.faults(site, left).apply(codes(model, site))
            copy.graph.initializers[site.name].const_value = ir.tensor(read, name=site.name)
    expected, one_rate = (execute(copy, image(IMAGES))[0].tobytes() for copy in (by_hand, plain))
    assert expected != one_rate

    assert execute(inject(model, sites, chip, errors, "node"), image(IMAGES))[0].tobytes() == expected
    baked = inject(model, sites, chip, errors, "baked")
    assert execute(baked, image(IMAGES))[0].tobytes() == expected
    assert to_bytes(remove(baked)) == to_bytes(model)
    open_to_any = inject(model, sites, chip, errors, "input")
    assert execute(open_to_any, image(IMAGES) | chip_inputs(model, sites, chip, errors))[0].tobytes() == expected
    assert json.loads(open_to_any.metadata_props["nfkit.faults"])["top_rates"] == [0.1, 0.5]


@pytest.mark.parametrize("storage", ["sign-magnitude", "gray"])
@pytest.mark.parametrize("mode", ["node", "input"])
@pytest.mark.parametrize(("dtype", "bits"), [("int16", 16), ("uint16", 16), ("int8", 3), ("uint8", 5)])
def test_fault_nodes_hold_words_of_all_widths(parse, execute, storage, mode, dtype, bits):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.startswith("i") else (0, 2**bits - 1)
    stored = np.random.default_rng(bits).integers(low, high + 1, (6, 5)).astype(dtype)
    text = """<ir_version: 10, opset_import: ["" : 21]>
        g (float[N, 6] image) => (float[N, 5] y) <DTYPE[6, 5] w, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            y = MatMul (image, f)
        }"""
    model = parse(text.replace("DTYPE", dtype), w=stored)
    record_bits(model, {"w": bits})
    sites, chip, errors = fault_sites(model), Chip(50001), BitErrors(0.1, storage=storage)
    injected = inject(model, sites, chip, errors, mode)
    masks = chip_inputs(model, sites, chip, errors) if mode == "input" else {}
    x = np.eye(6, dtype=np.float32)  # one weight a sum: exact in float32
    read = chip.faults(sites[0], errors).apply(stored)
    assert (read != stored).any()
    assert (execute(injected, image(x) | masks)[0] * 2).tolist() == read.astype(float).tolist()
    assert to_bytes(remove(injected)) == to_bytes(model)


IN_A_FUNCTION = """
<ir_version: 10, opset_import: ["" : 18, "own" : 1]>
g (float[N, 2] image) => (float[N, 2] y) { y = own.Dense (image) }
<opset_import: ["" : 18], domain: "own">
Dense (x) => (y) {
    w = Constant <value = int8[2, 2] {1, -2, 30, -128}> ()
    s = Constant <value = float {0.5}> ()
    f = DequantizeLinear (w, s)
    y = MatMul (x, f)
}
"""


@pytest.mark.parametrize("mode", ["node", "baked"])
@pytest.mark.parametrize("storage", STORAGE_CODES)
def test_words_of_a_function_are_held_in_it(parse, execute, storage, mode):
    model, chip = parse(IN_A_FUNCTION), Chip(50002)
    (site,), errors = fault_sites(model), BitErrors(0.2, "flip", storage=storage)
    injected = inject(model, [site], chip, errors, mode)
    onnx.checker.check_model(ir.to_proto(injected), full_check=True)
    read = chip.faults(site, errors).apply(codes(model, site))
    assert (read != codes(model, site)).any()
    assert (execute(injected, image(np.eye(2, dtype=np.float32)))[0] * 2).tolist() == read.astype(float).tolist()
    assert fault_sites(injected) == [site]
    assert to_bytes(remove(injected)) == to_bytes(model)


def test_top_bits_of_sites_of_two_widths(parse):
    text = """<ir_version: 10, opset_import: ["" : 21]>
        g (float[N, 5] image) => (float[N, 3] y) <int4[5, 7] w, int8[7, 3] d, float s = {0.5}> {
            f = DequantizeLinear (w, s)
            a = MatMul (image, f)
            h = DequantizeLinear (d, s)
            y = MatMul (a, h)
        }"""
    random = np.random.default_rng(7)
    narrow = random.integers(-8, 8, (5, 7)).astype(ml_dtypes.int4)  # 35 codes: the last byte is half full
    model = parse(text, w=narrow, d=random.integers(-128, 128, (7, 3), np.int8))
    sites = fault_sites(model)
    assert [site.bits for site in sites] == [4, 8]
    for top in (1, 2):
        flips = dict.fromkeys((4, 8), 0)
        for seed in range(30):
            injected = inject(model, sites, Chip(seed), BitErrors(0.3, "flip", protected_top=top), "baked")
            for site in sites:
                before, after = (codes(m, site).astype(np.int8).view(np.uint8) for m in (model, injected))
                flips[site.bits] |= int(np.bitwise_or.reduce((before ^ after).ravel()))
            assert to_bytes(remove(injected)) == to_bytes(model)
        assert flips == {4: 2 ** (4 - top) - 1, 8: 2 ** (8 - top) - 1}
    with pytest.raises(OptionError, match="'w' has bits 0 to 3; to protect the top bits of sites of several widths"):
        inject(model, sites, Chip(0), BitErrors(0.3, protected_bits=(7,)), "baked")


@pytest.mark.parametrize("mode", ["node", "input"])
def test_words_too_wide_for_a_table_are_refused_by_name(convnet, mode):
    model = convnet()
    biases, errors = fault_sites(model, roles=("bias",)), BitErrors(0.1, storage="gray")
    words = rf"'{biases[0].name}' has 32-bit codes, .* up to 16 bits \(--storage gray\): use --mode baked"
    with pytest.raises(UnsupportedError, match=words):
        inject(model, biases, Chip(50000), errors, mode)
    assert to_bytes(remove(inject(model, biases, Chip(50000), errors, "baked"))) == to_bytes(model)


@pytest.mark.parametrize("mode", ["node", "input"])
def test_error_correction_is_baked_alone(convnet, mode):
    words = rf"mode '{mode}' injects bit by bit, .* \(--ecc secded-64\): use --mode baked"
    with pytest.raises(UnsupportedError, match=words):
        inject(convnet(), fault_sites(convnet()), Chip(50000), BitErrors(0.1, ecc="secded-64"), mode)


def test_corrected_codes_are_baked(convnet):
    model, chip, errors = convnet(), Chip(50000), BitErrors(0.02, "flip", ecc="secded-32-zero")
    sites = fault_sites(model)
    injected = inject(model, sites, chip, errors, "baked")
    for site in sites:
        assert codes(injected, site).tolist() == chip.faults(site, errors).apply(codes(model, site)).tolist()
    assert json.loads(injected.metadata_props["nfkit.faults"])["ecc"] == "secded-32-zero"
    assert to_bytes(remove(injected)) == to_bytes(model)


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_in_input_mode_is_any_chip_at_any_rate(convnet, execute, kind):
    model = convnet()
    sites = fault_sites(model)
    open_to_any = inject(model, sites, Chip(1), errors_of(kind), "input")
    for seed, rate in ((50000, 0.01), (50001, 0.1), (50002, 0.3), (50003, 0.0)):
        baked = inject(model, sites, Chip(seed), errors_of(kind, rate), "baked")
        masks = chip_inputs(open_to_any, sites, Chip(seed), errors_of(kind, rate))
        got = execute(open_to_any, image(IMAGES) | masks)[0]
        assert got.tobytes() == execute(baked, image(IMAGES))[0].tobytes()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "layout"), CASES, ids=["-".join(case) for case in CASES])
def test_removing_gives_back_the_bytes(convnet, mode, kind, layout):
    model = convnet()
    before = to_bytes(model)
    injected = inject(model, fault_sites(model), Chip(50000, parse_layout(layout)), errors_of(kind), mode)
    assert to_bytes(injected) != before
    assert to_bytes(remove(injected)) == before
    assert to_bytes(model) == before  # the caller's model is never changed


@given(
    st.sets(st.sampled_from(["w", "d", "b"]), min_size=1),
    st.sampled_from(CASES),
    st.floats(0, 0.3),
    st.sampled_from(MODES),
    st.integers(50_000, 1_000_000),
)
def test_any_choice_of_sites_comes_back(convnet, names, case, rate, mode, seed):
    model, (kind, layout) = convnet(), case
    sites = [site for site in find_sites(model) if site.name in names]
    injected = inject(model, sites, Chip(seed, parse_layout(layout)), errors_of(kind, rate), mode)
    assert to_bytes(remove(injected)) == to_bytes(model)


@pytest.mark.parametrize("mode", MODES)
def test_no_sites_at_all_come_back(convnet, mode):
    model = convnet()
    assert to_bytes(remove(inject(model, [], Chip(50000), BitErrors(0.1), mode))) == to_bytes(model)


@pytest.mark.parametrize("mode", MODES)
def test_removing_works_on_a_saved_file(convnet, tmp_path, mode):
    model = convnet()
    save(inject(model, fault_sites(model), Chip(50000), BitErrors(0.1), mode), tmp_path / "faulty.onnx")
    assert to_bytes(remove(load(tmp_path / "faulty.onnx"))) == to_bytes(model)


@pytest.mark.parametrize("mode", MODES)
def test_removing_leaves_the_injected_model_alone(convnet, mode):
    model = convnet()
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.1), mode)
    before = to_bytes(injected)
    remove(injected)
    assert to_bytes(injected) == before


@pytest.mark.parametrize("mode", MODES)
def test_codes_stored_outside_the_raw_bytes_come_back(mode):
    # As onnx.helper.make_tensor and the text parser store them: int32_data.
    model = ir.from_proto(onnx.parser.parse_model(SHARED))
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.3), mode)
    assert to_bytes(remove(injected)) == to_bytes(model)


@pytest.mark.parametrize("mode", MODES)
def test_a_single_code_without_axes_comes_back(parse, execute, mode):
    model = parse(
        """<ir_version: 10, opset_import: ["" : 18]>
        g (float[N] image) => (float[N] y) <int8 k = {3}, float s = {0.5}> {
            f = DequantizeLinear (k, s)
            y = Mul (image, f)
        }"""
    )
    injected = inject(model, fault_sites(model, roles=("constant",)), Chip(50000), BitErrors(0.3, "flip"), mode)
    assert execute(injected, image(np.ones(2, np.float32)))[0].shape == (2,)
    assert to_bytes(remove(injected)) == to_bytes(model)


@pytest.mark.parametrize("mode", MODES)
def test_shared_memory_is_faulted_once_for_all_its_readers(parse, execute, mode):
    model, chip, errors = parse(SHARED), Chip(50003), BitErrors(0.3, "flip")
    sites = fault_sites(model)
    assert [site.name for site in sites] == ["w"]
    injected = inject(model, sites, chip, errors, mode)
    x = np.array([[1, 2], [3, -5]], np.float32)
    masks = chip_inputs(model, sites, chip, errors) if mode == "input" else {}
    read = chip.faults(sites[0], errors).apply(codes(model, sites[0])).astype(np.float32) / 2
    assert read.tolist() != (codes(model, sites[0]) / 2).tolist()
    # Halves of small integers: exact in float32.
    assert execute(injected, image(x) | masks)[0].tolist() == (x @ read @ read.T).tolist()
    assert sum(node.domain == "nfkit" for node in injected.graph) == (0 if mode == "baked" else 1)
    assert to_bytes(remove(injected)) == to_bytes(model)


def test_two_sites_in_input_mode_take_masks_of_their_own(convnet):
    model = convnet()
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.1), "input")
    assert [v.name for v in injected.graph.inputs] == [
        "image",
        "w.nfkit.and_mask",
        "w.nfkit.or_mask",
        "d.nfkit.and_mask",
        "d.nfkit.or_mask",
    ]
    masks = chip_inputs(model, fault_sites(model), Chip(50000), BitErrors(0.1))
    assert list(masks) == ["w.nfkit.and_mask", "w.nfkit.or_mask", "d.nfkit.and_mask", "d.nfkit.or_mask"]
    for name, mask in masks.items():
        value = injected.graph.initializers[name]
        assert (mask.dtype, mask.shape) == (value.dtype.numpy(), tuple(value.shape.numpy()))


@pytest.mark.parametrize("mode", ["node", "baked"])
def test_the_inputs_stay_as_they_were(convnet, mode):
    model = convnet()
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.1), mode)
    assert [v.name for v in injected.graph.inputs] == ["image"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_injected_models_are_valid_onnx(convnet, mode, kind):
    model = convnet()
    injected = inject(model, fault_sites(model), Chip(50000), errors_of(kind), mode)
    onnx.checker.check_model(ir.to_proto(injected), full_check=True)


@pytest.mark.parametrize("opset", [18, 20, 22])
def test_fault_functions_import_the_operators_of_the_model(convnet, execute, opset):
    model = convnet(opset)
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.1))
    assert injected.opset_imports == {"": opset, "nfkit": 1}
    assert [f.opset_imports[""] for f in injected.functions.values()] == [opset]
    baked = inject(model, fault_sites(model), Chip(50000), BitErrors(0.1), "baked")
    assert execute(injected, image(IMAGES))[0].tobytes() == execute(baked, image(IMAGES))[0].tobytes()


@pytest.mark.parametrize("mode", ["node", "input"])
def test_opset_without_bitwise_operators_is_refused_with_a_way_out(convnet, mode):
    model = convnet(13)
    words = rf"mode '{mode}' needs the bitwise operators of opset 18, the model has opset 13: use --mode baked"
    with pytest.raises(UnsupportedError, match=words):
        inject(model, fault_sites(model), Chip(50000), BitErrors(0.1), mode)


def test_baked_mode_works_without_bitwise_operators(convnet, execute):
    old, new = convnet(13), convnet(18)
    for model in (old, new):
        assert execute(model, image(IMAGES))[0].any()
    chip, errors = Chip(50000), BitErrors(0.1)
    baked = inject(old, fault_sites(old), chip, errors, "baked")
    node = inject(new, fault_sites(new), chip, errors, "node")
    assert execute(baked, image(IMAGES))[0].tobytes() == execute(node, image(IMAGES))[0].tobytes()
    assert to_bytes(remove(baked)) == to_bytes(old)


@pytest.mark.parametrize("first", MODES)
@pytest.mark.parametrize("second", MODES)
def test_injecting_twice_is_refused(convnet, first, second):
    model = convnet()
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.1), first)
    with pytest.raises(ModelError, match=r"holds the faults of chip 50000 at 10 % .* take them out first"):
        inject(injected, fault_sites(injected), Chip(50001), BitErrors(0.1), second)


def test_removing_from_a_clean_model_is_refused(convnet):
    with pytest.raises(ModelError, match="holds no injected faults"):
        remove(convnet())


@pytest.mark.parametrize("mode", ["node", "input"])
def test_names_that_are_taken_are_no_obstacle(parse, execute, mode):
    model = parse(
        """<ir_version: 10, opset_import: ["" : 18]>
        g (float[N, 2] image) => (float[N, 2] y)
        <int8[2, 2] w = {1, -2, 30, -4}, float s = {0.5}, float[2] "w.or_mask" = {1, 2}> {
            f = DequantizeLinear (w, s)
            "w.faulty" = Add (image, "w.or_mask")
            y = MatMul ("w.faulty", f)
        }"""
    )
    x = np.array([[1, 2]], np.float32)
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.0), mode)
    assert execute(injected, image(x))[0].tolist() == execute(model, image(x))[0].tolist()
    assert to_bytes(remove(injected)) == to_bytes(model)


@pytest.mark.parametrize("kind", KINDS)
def test_runtime_folds_constant_masks_away(convnet, execute, tmp_path, kind):
    model = convnet()
    injected = inject(model, fault_sites(model), Chip(50000), errors_of(kind))
    assert [n.domain for n in injected.graph][:2] == ["nfkit", "nfkit"]
    execute(injected, image(IMAGES), optimised=tmp_path / "optimised.onnx")
    execute(model, image(IMAGES), optimised=tmp_path / "clean.onnx")
    folded = onnx.load(tmp_path / "optimised.onnx").graph.node
    assert not [n.op_type for n in folded if n.domain == "nfkit" or n.op_type.startswith("Bitwise")]
    assert len(folded) <= len(onnx.load(tmp_path / "clean.onnx").graph.node)


@pytest.mark.parametrize("mode", MODES)
def test_sites_of_an_injected_model_are_those_of_the_clean_one(convnet, mode):
    model = convnet()
    injected = inject(model, fault_sites(model), Chip(50000), BitErrors(0.0), mode)
    assert fault_sites(injected) == fault_sites(model)


def test_what_was_done_is_on_record(convnet):
    model = convnet()
    errors = BitErrors(0.1, "stuck", 0.25, (7,), ("conv*",))
    injected = inject(model, fault_sites(model), Chip(50000, parse_layout("array:64x128")), errors)
    assert json.loads(injected.metadata_props["nfkit.faults"]) == {
        "mode": "node",
        "chip": 50000,
        "layout": "array:64x128",
        "rate": 0.1,
        "kind": "stuck",
        "set_share": 0.25,
        "protected_bits": [7],
        "protected_sites": ["conv*"],
    }
    assert injected.metadata_props["owner"] == "someone"


def test_counted_faults_are_the_bits_that_differ(convnet):
    model, chip, errors = convnet(), Chip(50000), BitErrors(0.1)
    sites = fault_sites(model)
    cells, bits = count_faults(model, sites, chip, errors)
    baked = inject(model, sites, chip, errors, "baked")
    assert bits == sum(flipped_bits(codes(model, site), codes(baked, site)) for site in sites)
    masks = chip_inputs(model, sites, chip, errors)
    erring = 0
    for site in sites:
        and_mask, or_mask = (masks[f"{site.name}.nfkit.{suffix}"].view(np.uint8) for suffix in ("and_mask", "or_mask"))
        erring += int(np.bitwise_count(~and_mask | or_mask).sum())
    assert cells == erring
    assert 0 < bits < cells
