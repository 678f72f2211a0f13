"""Files come back byte for byte, however they were written, and whatever lies beside them."""

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.errors import OutputError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.fusion.fuse import fuse
from nfkit.graph.fusion.fused import BASE_ORIGINAL_KEY
from nfkit.graph.fusion.split import split
from nfkit.graph.injection.inject import MODES, inject, remove
from nfkit.graph.injection.record import ORIGINAL_KEY
from nfkit.graph.input.discovery import find_input
from nfkit.graph.memory.original import SAME_BYTES, SAME_GRAPH, restore, save_as_it_was
from nfkit.graph.memory.sites import fault_sites
from nfkit.model import load, save, to_bytes

TEXT = """
<ir_version: 10, opset_import: ["" : 18, "own" : 1], producer_name: "someone", doc_string: "of a model",
 metadata_props: ["owner" : "someone"]>
net (float[N, 2, 4, 4] image) => (float[N, 3] scores)
<float s_image = {0.0078125}, int8 z = {0}, float s_conv = {0.02}, float s_dense = {0.05}, uint8 z_dense = {128}>
{
    q = QuantizeLinear (image, s_image, z)
    f = DequantizeLinear (q, s_image, z)
    w_f = DequantizeLinear (w, s_conv)
    c = Conv <pads = [1, 1, 1, 1]> (f, w_f)
    r = own.act (c)
    p = GlobalAveragePool (r)
    l = Flatten (p)
    d_f = DequantizeLinear (d, s_dense, z_dense)
    k = Constant <value = float {1.0}> ()
    m = MatMul (l, d_f)
    scores = Mul (m, k)
}
<domain: "own", opset_import: ["" : 18]> act (x) => (y) { y = Relu (x) }
"""


def message():
    random = np.random.default_rng(3)
    proto = onnx.parser.parse_model(TEXT)
    for name, array in (
        ("w", random.integers(-128, 128, (5, 2, 5, 5), np.int8)),
        ("d", random.integers(0, 256, (5, 3), np.uint8)),
        ("unused", random.normal(0, 1, 50).astype(np.float32)),
        ("twin", random.integers(-128, 128, (5, 2, 5, 5), np.int8)),
    ):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    proto.graph.initializer[-1].raw_data = next(t for t in proto.graph.initializer if t.name == "w").raw_data
    return proto


def plain(proto, path):
    path.write_bytes(proto.SerializeToString())


def described(proto, path):
    proto.graph.doc_string = "of a graph"
    proto.graph.node[0].doc_string = "of a node"
    proto.graph.initializer[-1].doc_string = "of a tensor"
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("c", 1, ["N", 5, 2, 2]))
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("absent", 1, [7]))
    plain(proto, path)


def unknown(proto, path):
    """Fields that this onnx does not know, at the end and in a node."""
    inner = proto.graph.node[2]
    content = inner.SerializeToString() + b"\xca\x3e\x03abc"  # field 1001
    inner.CopyFrom(onnx.NodeProto.FromString(content))
    path.write_bytes(proto.SerializeToString() + b"\xca\x3e\x04abcd")


def unordered(proto, path):
    """As a stream of two messages, which protobuf merges: the graph stands before and behind the rest."""
    first, second = onnx.ModelProto(), onnx.ModelProto()
    first.graph.CopyFrom(proto.graph)
    del first.graph.initializer[2:]
    second.CopyFrom(proto)
    second.graph.Clear()
    second.graph.initializer.extend(proto.graph.initializer[2:])
    path.write_bytes(second.SerializeToString() + first.SerializeToString())


def typed(proto, path):
    """Codes outside the raw bytes, which no reference stands for."""
    for tensor in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype.kind in "iu":
            tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, tensor.data_type, tensor.dims, array.ravel().tolist()))
    plain(proto, path)


def shuffled(proto, path):
    proto.graph.node.reverse()  # ONNX Runtime accepts and writes such files
    plain(proto, path)


def external(proto, path):
    onnx.save(proto, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)
    with open(f"{path}.data", "ab") as file:
        file.write(b"\0padding\0" * 100)


def several(proto, path):
    onnx.save(proto, path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=100)


WRITERS = [plain, described, unknown, unordered, typed, shuffled, external, several]


@pytest.fixture(params=WRITERS, ids=[w.__name__ for w in WRITERS])
def written(request, tmp_path):
    """A file, and the bytes of all files of its folder."""
    folder = tmp_path / "from"
    folder.mkdir()
    request.param(message(), folder / "m.onnx")
    return folder / "m.onnx", {file.name: file.read_bytes() for file in folder.iterdir()}


def back(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("mode", MODES)
def test_removing_faults_gives_the_very_files_back(written, tmp_path, mode):
    path, files = written
    assert to_bytes(load(path)) != files["m.onnx"]  # else there were nothing to show
    model = load(path)
    save(inject(model, fault_sites(model), Chip(1), BitErrors(0.2), mode), tmp_path / "faulty.onnx")
    (tmp_path / "to").mkdir()
    faulty = load(tmp_path / "faulty.onnx")
    kept = faulty.metadata_props[ORIGINAL_KEY]
    assert save_as_it_was(kept, remove(faulty), tmp_path / "to" / "m.onnx") == SAME_BYTES
    assert back(tmp_path / "to") == files
    assert back(path.parent) == files


def test_splitting_gives_the_very_base_back(written, tmp_path, residual_generator):
    path, files = written
    base = load(path)
    save(fuse(residual_generator(2, 4, 4), base, find_input(base), {}), tmp_path / "m.nf.onnx")
    fused = load(tmp_path / "m.nf.onnx")
    injected = inject(fused, fault_sites(fused), Chip(1), BitErrors(0.2))
    assert injected.metadata_props[BASE_ORIGINAL_KEY] == fused.metadata_props[BASE_ORIGINAL_KEY]
    prefix, frozen = split(remove(injected))
    assert BASE_ORIGINAL_KEY not in prefix.metadata_props
    (tmp_path / "to").mkdir()
    assert save_as_it_was(fused.metadata_props[BASE_ORIGINAL_KEY], frozen, tmp_path / "to" / "m.onnx") == SAME_BYTES
    assert back(tmp_path / "to") == files


def test_an_outline_holds_no_tensor(tmp_path):
    proto = message()
    large = np.random.default_rng(0).integers(-128, 128, (100, 2, 50, 50), np.int8)
    proto.graph.initializer[-1].CopyFrom(onnx.numpy_helper.from_array(large, "twin"))
    plain(proto, tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")
    faulty = inject(model, fault_sites(model), Chip(1), BitErrors(0.2))
    assert len(faulty.metadata_props[ORIGINAL_KEY]) < 4000


def test_a_file_that_nfkit_wrote_needs_no_more_than_its_digest(convnet, tmp_path):
    path = save(convnet(), tmp_path / "m.onnx")
    model = load(path)
    faulty = inject(model, fault_sites(model), Chip(1), BitErrors(0.2))
    assert len(faulty.metadata_props[ORIGINAL_KEY]) < 120
    assert save_as_it_was(faulty.metadata_props[ORIGINAL_KEY], remove(faulty), tmp_path / "b.onnx") == SAME_BYTES
    assert (tmp_path / "b.onnx").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("change", ["model", "copy", "memory", "file", "gone"])
def test_what_is_not_the_file_is_not_said_to_be(convnet, tmp_path, change):
    path = save(convnet(), tmp_path / "m.onnx")
    model = load(path)
    if change == "model":
        model.metadata_props["owner"] = "other"
    elif change == "copy":
        model = model.clone()
    elif change == "memory":
        model = convnet()
    elif change == "file":
        save(convnet(20), path)
    else:
        path.unlink()
    faulty = inject(model, fault_sites(model), Chip(1), BitErrors(0.2))
    assert ORIGINAL_KEY not in faulty.metadata_props
    assert save_as_it_was(None, remove(faulty), tmp_path / "b.onnx") == SAME_GRAPH
    assert (tmp_path / "b.onnx").read_bytes() == to_bytes(model)


def test_outlines_of_other_models_give_nothing(tmp_path):
    described(message(), tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")
    kept = inject(model, fault_sites(model), Chip(1), BitErrors(0.2)).metadata_props[ORIGINAL_KEY]
    assert restore(kept, model).files[""] == (tmp_path / "m.onnx").read_bytes()
    changed = model.clone()
    changed.graph.initializers["w"].const_value = ir.tensor(np.zeros((5, 2, 5, 5), np.int8), name="w")
    assert restore(kept, changed) is None
    (entry,) = json.loads(kept)
    broken = [
        "",
        "[]",
        "{}",
        "x",
        kept[:-3],
        json.dumps([entry | {"text": "!"}]),
        json.dumps([entry | {"sha256": "0"}]),
    ]
    broken += [json.dumps([entry | {"name": name}]) for name in ("/etc/x", "../x", "other")]
    broken += [json.dumps([entry | {"parts": [[1, "absent"]]}])]
    assert [restore(text, model) for text in broken] == [None] * len(broken)


def test_data_never_replaces_another_file(tmp_path):
    (tmp_path / "from").mkdir()
    external(message(), tmp_path / "from" / "m.onnx")
    model = load(tmp_path / "from" / "m.onnx")
    faulty = inject(model, fault_sites(model), Chip(1), BitErrors(0.2))
    (tmp_path / "m.onnx.data").write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"the model's data goes to .*, where another file is"):
        save_as_it_was(faulty.metadata_props[ORIGINAL_KEY], remove(faulty), tmp_path / "b.onnx")
    assert (tmp_path / "m.onnx.data").read_bytes() == b"precious"
    assert not (tmp_path / "b.onnx").exists()
