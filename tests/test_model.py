"""Models in and out: read into copies, written whole or not at all."""

import hashlib
import os
import stat

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from nfkit.access.runtime import Runner
from nfkit.errors import ModelError, OptionError, OutputError
from nfkit.faults import BitErrors, Chip
from nfkit.graph.injection.inject import inject, remove, with_codes
from nfkit.graph.memory.sites import codes, fault_sites
from nfkit.graph.memory.storage import find_stored
from nfkit.model import (
    check_output,
    default_output,
    describe,
    load,
    save,
    sha256,
    to_bytes,
)
from nfkit.outputs import check_writable, write_atomically


@pytest.fixture
def model(convnet):
    return convnet()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_path_proto_and_model_are_the_same_model(model, tmp_path):
    path = save(model, tmp_path / "m.onnx")
    for source in (path, str(path), ir.to_proto(model), model):
        assert to_bytes(load(source)) == to_bytes(model)


def test_what_is_loaded_is_a_copy(model):
    proto = ir.to_proto(model)
    before = to_bytes(model), proto.SerializeToString(deterministic=True)
    for source in (model, proto):
        copy = load(source)
        copy.graph.initializers["w"].const_value = ir.tensor(np.zeros((3, 2, 3, 3), np.int8), name="w")
        copy.graph.inputs[0].name = "other"
        copy.metadata_props["owner"] = "other"
        copy.graph.remove(copy.graph[-1])
    assert (to_bytes(model), proto.SerializeToString(deterministic=True)) == before


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"no model at '.*absent\.onnx': give the path of an ONNX file"):
        load(tmp_path / "absent.onnx")


def test_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="no model at"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"garbage", b"\x00" * 64, b"\xff" * 1000, b"<html>not found</html>"])
def test_garbage_is_no_model(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx' .*: export it again, or check the download"):
        load(tmp_path / "m.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file_is_no_model(model, tmp_path, share):
    content = to_bytes(model)
    (tmp_path / "m.onnx").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="export it again, or check the download"):
        load(tmp_path / "m.onnx")


def test_empty_file_and_empty_graph_are_no_models(tmp_path, parse):
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"m\.onnx' .*: export it again, or check the download"):
        load(tmp_path / "m.onnx")
    proto = onnx.helper.make_model(onnx.helper.make_graph([], "nothing", [], []))
    with pytest.raises(ModelError, match="model 'nothing' holds no operators"):
        load(proto)
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"m\.onnx' holds no operators"):
        load(tmp_path / "m.onnx")


def test_nodes_out_of_order_are_put_in_order(tmp_path):
    """As ONNX Runtime's quantiser writes them: a body captures what the graph computes only later."""
    proto = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        g (float[N, 2] x, bool c) => (float[N, 2] y) {
            h = Relu (x)
            y = If (c) <then_branch = t () => (float[N, 2] a) { a = Neg (h) },
                        else_branch = e () => (float[N, 2] b) { b = Identity (h) }>
        }
        """
    )
    proto.graph.node.reverse()
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    model = load(tmp_path / "m.onnx")
    assert [node.op_type for node in model.graph] == ["Relu", "If"]
    assert [node.op_type for node in model.clone().graph] == ["Relu", "If"]


def test_nodes_that_read_each_other_are_no_model(tmp_path):
    proto = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]> g (float[N] x) => (float[N] y) { a = Relu (y)  y = Add (a, x) }'
    )
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match="in a circle"):
        load(tmp_path / "m.onnx")


def test_models_are_named_in_messages(model, tmp_path):
    assert describe(model) == describe(ir.to_proto(model)) == "model 'convnet'"
    assert describe(tmp_path / "m.onnx") == describe(str(tmp_path / "m.onnx")) == f"'{tmp_path / 'm.onnx'}'"


def test_saved_file_is_the_serialised_model_and_nothing_else_is_left(model, tmp_path):
    path = save(model, tmp_path / "m.onnx")
    assert path.read_bytes() == to_bytes(model)
    assert names(tmp_path) == ["m.onnx"]
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_saving_replaces_a_file_whole(model, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"x" * 100_000)
    link = tmp_path / "before"
    os.link(path, link)
    save(model, path)
    assert path.read_bytes() == to_bytes(model)
    assert link.read_bytes() == b"x" * 100_000  # the old file was replaced, not written into
    assert names(tmp_path) == ["before", "m.onnx"]


def test_saved_file_has_the_rights_of_any_new_file(model, tmp_path):
    (tmp_path / "plain").touch()
    path = save(model, tmp_path / "m.onnx")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_relative_names_are_saved_in_the_current_folder(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(model, "m.onnx")
    assert names(tmp_path) == ["m.onnx"]


def test_folder_that_does_not_exist_takes_no_file(model, tmp_path):
    with pytest.raises(OutputError, match=r"there is no folder '.*absent'; create it first"):
        save(model, tmp_path / "absent" / "m.onnx")
    with pytest.raises(OutputError, match="there is no folder"):
        check_writable(tmp_path / "absent" / "m.onnx")
    assert names(tmp_path) == []


def test_file_in_place_of_the_folder_takes_no_file(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="there is no folder"):
        save(model, tmp_path / "file" / "m.onnx")


def test_folder_as_the_output_is_refused(model, tmp_path):
    (tmp_path / "m.onnx").mkdir()
    with pytest.raises(OutputError, match="it is a folder; give a file name"):
        save(model, tmp_path / "m.onnx")
    assert names(tmp_path) == ["m.onnx"]
    assert names(tmp_path / "m.onnx") == []


def test_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        write_atomically(tmp_path / ("m" * 300), b"content")
    assert names(tmp_path) == []


def test_model_itself_is_never_the_output(model, tmp_path):
    source = save(model, tmp_path / "m.onnx")
    (tmp_path / "link.onnx").symlink_to(source)
    os.link(source, tmp_path / "hard.onnx")
    for output in (source, tmp_path / "link.onnx", tmp_path / "hard.onnx", tmp_path / "." / "m.onnx"):
        for force in (False, True):
            with pytest.raises(OptionError, match="is the model itself, which is never changed"):
                check_output(output, str(source), force)
    assert source.read_bytes() == to_bytes(model)


def test_existing_file_is_replaced_only_by_force(model, tmp_path):
    source = save(model, tmp_path / "m.onnx")
    (tmp_path / "out.onnx").write_bytes(b"precious")
    for given in (source, model):
        with pytest.raises(OptionError, match=r"exists: choose another name, or give --force"):
            check_output(tmp_path / "out.onnx", given, force=False)
        check_output(tmp_path / "out.onnx", given, force=True)
        check_output(tmp_path / "new.onnx", given, force=False)
    assert names(tmp_path) == ["m.onnx", "out.onnx"]  # looking leaves nothing behind
    assert (tmp_path / "out.onnx").read_bytes() == b"precious"


def test_default_output_lies_beside_the_model(tmp_path):
    assert default_output(tmp_path / "net.onnx") == tmp_path / "net.nf.onnx"
    assert default_output(tmp_path / "net") == tmp_path / "net.nf.onnx"
    assert default_output(tmp_path / "my.onnx.v2.onnx") == tmp_path / "my.onnx.v2.nf.onnx"


def test_digest_is_that_of_the_bytes(model, convnet, tmp_path):
    path = save(model, tmp_path / "m.onnx")
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()
    for source in (model, convnet(), model.clone(), ir.to_proto(model), path, str(path), load(path)):
        assert sha256(source) == wanted


def test_digest_sees_every_change(model):
    before = sha256(model)
    model.graph.initializers["w"].const_value = ir.tensor(np.zeros((3, 2, 3, 3), np.int8), name="w")
    weights = sha256(model)
    model.metadata_props["owner"] = "other"
    assert len({before, weights, sha256(model)}) == 3


def test_weights_kept_beside_the_model_are_written_into_the_one_file(tmp_path):
    text = '<ir_version: 10, opset_import: ["" : 18]> g (float[N, 2] x) => (float[N, 50] y) { y = MatMul (x, w) }'
    proto = onnx.parser.parse_model(text)
    stored = np.arange(100, dtype=np.float32).reshape(2, 50)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(stored, "w"))
    for folder in ("from", "to"):
        (tmp_path / folder).mkdir()
    onnx.save(proto, tmp_path / "from" / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    path = save(load(tmp_path / "from" / "m.onnx"), tmp_path / "to" / "m.onnx")
    assert names(tmp_path / "to") == ["m.onnx"]
    written = ir.load(path).graph.initializers["w"].const_value
    assert np.array(written.numpy()).tolist() == stored.tolist()


@pytest.fixture
def large(parse, monkeypatch):
    """A model beyond the limit of one message, which is lowered for it."""
    monkeypatch.setattr("nfkit.model.MESSAGE_LIMIT", 500)
    return parse(
        """
        <ir_version: 10, opset_import: ["" : 18]>
        g (float[N, 2] x) => (float[N, 300] y) <float s = {0.1}> {
            f = DequantizeLinear (w, s)
            y = MatMul (x, f)
        }
        """,
        w=np.random.default_rng(0).integers(-128, 128, (2, 300), np.int8),
    )


def test_large_model_is_a_file_and_its_data_beside_it(large, tmp_path):
    save(large, tmp_path / "m.onnx")
    assert names(tmp_path) == ["m.onnx", "m.onnx.data"]
    assert (tmp_path / "m.onnx.data").stat().st_size == 600
    again = load(tmp_path / "m.onnx").graph.initializers["w"].const_value
    assert isinstance(again, ir.ExternalTensor)
    assert np.array_equal(again.numpy(), large.graph.initializers["w"].const_value.numpy())


def test_large_model_is_never_one_message(large):
    with pytest.raises(ModelError, match="more than one protobuf message"):
        to_bytes(large)


def test_digest_of_a_large_model_sees_every_change(large, tmp_path):
    digest = sha256(large)
    save(large, tmp_path / "m.onnx")
    assert sha256(load(tmp_path / "m.onnx")) == digest  # wherever the tensors are kept
    changed = with_codes(large, {"w": ~find_stored(large, ["w"])[0].array()})
    assert sha256(changed) != digest
    assert sha256(large) == digest


def test_large_model_runs_and_is_faulted_from_its_files(large, tmp_path, monkeypatch):
    save(large, tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")
    injected = inject(model, fault_sites(model), Chip(50_000), BitErrors(0.1), "baked")
    save(injected, tmp_path / "faulty.onnx")
    x = np.random.default_rng(0).uniform(-1, 1, (3, 2)).astype(np.float32)
    outputs = [Runner(m)(x) for m in (model, injected, load(tmp_path / "faulty.onnx"))]
    monkeypatch.undo()
    assert np.array_equal(outputs[0], Runner(large)(x))
    assert not np.array_equal(outputs[0], outputs[1])
    assert np.array_equal(outputs[1], outputs[2])
    assert to_bytes(remove(load(tmp_path / "faulty.onnx"))) == to_bytes(model)


def test_missing_external_data_is_named(large, tmp_path, monkeypatch):
    save(large, tmp_path / "m.onnx")
    monkeypatch.undo()
    model = load(tmp_path / "m.onnx")
    sites = fault_sites(model)
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"keeps tensor 'w' in '.*m\.onnx\.data', where there is no such file"):
        load(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="external data of tensor 'w' cannot be read"):
        to_bytes(model)
    with pytest.raises(ModelError, match="initializer 'w' cannot be read"):
        codes(model, sites[0])


def test_the_digest_of_a_file_covers_the_data_beside_it(tmp_path):
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[N, 2] x, float[2, 2] w) => (float[N, 2] y) '
        "{ y = MatMul (x, w) }"
    )
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.eye(2, dtype=np.float32), "w"))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    data = (tmp_path / "w.bin").read_bytes()
    wanted = hashlib.sha256((tmp_path / "m.onnx").read_bytes() + b"\0w.bin\0" + data).hexdigest()
    assert sha256(tmp_path / "m.onnx") == wanted
    (tmp_path / "w.bin").write_bytes(b"\1" + data[1:])
    assert sha256(tmp_path / "m.onnx") != wanted
    (tmp_path / "elsewhere").mkdir()
    for name in ("m.onnx", "w.bin"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    (tmp_path / "elsewhere" / "w.bin").write_bytes(data)
    assert sha256(tmp_path / "elsewhere" / "m.onnx") == wanted  # wherever the two lie
