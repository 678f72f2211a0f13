"""Every change of what a protected file means is found, and no other is blamed.

Changes are drawn from a seed and made in the message itself, as a tool or an attacker would make them; the seal is left
as it is. `kind(proto, random)` changes the message, or returns False where it has nothing to change.
"""

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import nfkit
from nfkit.deploy.targets.changes import adapt
from nfkit.deploy.targets.known import TARGETS
from nfkit.errors import ModelError, UnsupportedError
from nfkit.graph.fusion.front import front_of
from nfkit.graph.fusion.fused import SEAL_KEY
from nfkit.graph.fusion.metadata import read_input
from nfkit.graph.fusion.seal import seal
from nfkit.model import save

FORMS = ("published", "both", "pushing", "early", "front", "back", "modes")


@pytest.fixture(scope="module")
def messages(protected, tmp_path_factory):
    """The files of all forms, as messages."""
    folder = tmp_path_factory.mktemp("files")
    return {form: onnx.load(save(protected(form), folder / f"{form}.onnx")) for form in FORMS}


@pytest.fixture
def outcome(tmp_path):
    """outcome(content): what verifying a file of that content gives."""

    def run(content):
        path = tmp_path / "changed.onnx"
        path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
        return nfkit.verify(path)

    return run


# --- what changes a meaning ---


def graphs(proto):
    """The main graph and all bodies."""
    found = [proto.graph]
    for graph in found:
        found += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return found


def pick(random, entries):
    entries = list(entries)
    return entries[random.integers(len(entries))] if entries else None


def tensors(proto, wanted):
    return [t for graph in graphs(proto) for t in graph.initializer if wanted(t)]


def store(tensor, array):
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def nudge(wanted):
    def kind(proto, random):
        tensor = pick(random, tensors(proto, wanted))
        if tensor is None:
            return False
        array = numpy_helper.to_array(tensor).copy()
        at = random.integers(array.size)
        value = array.flat[at]
        array.flat[at] = value * 1.001 + 1e-6 if array.dtype.kind == "f" else value ^ 1
        store(tensor, array)
        return True

    return kind


def named(*words, ours=None):
    return lambda t: (ours is None or t.name.startswith("nfkit/") == ours) and any(word in t.name for word in words)


def answer_and_metadata(proto, random):
    tensor = pick(random, tensors(proto, named("answer/doubt", "answer/weight", "answer/sharpness")))
    entry = next((e for e in proto.metadata_props if e.key == "nfkit.answer"), None)
    if tensor is None or entry is None:
        return False
    name = tensor.name.rpartition("/")[2]
    before = float(numpy_helper.to_array(tensor))
    store(tensor, np.array(before / 2, np.float32))
    entry.value = entry.value.replace(f'"{name}": {before:.1f}', f'"{name}": {before / 2!r}')
    return True


def attribute(proto, random):
    known = [a for graph in graphs(proto) for n in graph.node for a in n.attribute]
    a = pick(random, [a for a in known if a.type in (a.INT, a.INTS, a.FLOAT)])
    if a.type == a.INTS:
        a.ints[0] += 1
    elif a.type == a.INT:
        a.i += 1
    else:
        a.f += 0.5
    return True


def rewire(proto, random):
    graph = proto.graph
    before, nodes = [], []
    for node in graph.node:
        nodes += [(node, i, name) for i, name in enumerate(node.input) for other in before if other != name][:40]
        before += node.output
    node, index, name = pick(random, nodes)
    made = list(dict.fromkeys(o for n in graph.node[: list(graph.node).index(node)] for o in n.output if o != name))
    node.input[index] = pick(random, made)
    return True


def swap_operands(proto, random):
    node = pick(random, [n for g in graphs(proto) for n in g.node if len(n.input) > 1 and n.input[0] != n.input[1]])
    node.input[0], node.input[1] = node.input[1], node.input[0]
    return True


def extra_node(proto, random):
    graph = proto.graph
    at = int(random.integers(len(graph.node)))
    node = graph.node[at]
    added = helper.make_node(str(pick(random, ["Identity", "Neg", "Relu"])), [node.input[0]], ["sneaked"])
    node.input[0] = "sneaked"
    graph.node.insert(at, added)
    return True


def idle_node(proto, random):
    proto.graph.node.insert(0, helper.make_node("Identity", [proto.graph.input[0].name], ["unread"]))
    return True


def other_operator(proto, random):
    others = {
        "Add": "Sub", "Mul": "Add", "Sub": "Add", "Max": "Min", "Min": "Max", "Exp": "Abs", "Log": "Abs", "Div": "Mul",
        "Softmax": "LogSoftmax", "Identity": "Neg", "Greater": "Less", "GlobalAveragePool": "GlobalMaxPool",
        "ReduceMax": "ReduceMin", "Not": "Identity", "GreaterOrEqual": "LessOrEqual",
    }  # fmt: skip
    nodes = [n for g in [*graphs(proto), *proto.functions] for n in g.node if n.op_type in others and not n.domain]
    node = pick(random, nodes)
    if node is None:
        return False
    node.op_type = others[node.op_type]
    return True


def other_domain(proto, random):
    node = pick(random, [n for n in proto.graph.node if not n.domain])
    node.domain = "evil"
    proto.opset_import.add(domain="evil", version=1)
    return True


def idle_domain(proto, random):
    proto.opset_import.add(domain=f"odd{random.integers(9)}", version=1)
    return True


def opset(proto, random):
    next(o for o in proto.opset_import if not o.domain).version += int(random.choice([-1, 1, 2]))
    return True


def ir_version(proto, random):
    proto.ir_version += 1
    return True


def metadata_value(proto, random):
    entry = pick(random, [e for e in proto.metadata_props if e.key != "nfkit.seal"])
    at = int(random.integers(len(entry.value))) if entry.value else 0
    entry.value = entry.value[:at] + ("7" if entry.value[at : at + 1] != "7" else "8") + entry.value[at + 1 :]
    return True


def metadata_gone(proto, random):
    proto.metadata_props.remove(pick(random, [e for e in proto.metadata_props if e.key != "nfkit.seal"]))
    return True


def metadata_new(proto, random):
    proto.metadata_props.add(key=str(pick(random, ["nfkit.trusted", "author", "nfkit.results"])), value="[]")
    return True


def metadata_twice(proto, random):
    entry = pick(random, proto.metadata_props)
    proto.metadata_props.add(key=entry.key, value=entry.value)
    return True


def seal_itself(proto, random):
    entry = next(e for e in proto.metadata_props if e.key == "nfkit.seal")
    at = pick(random, [i for i, letter in enumerate(entry.value) if letter in "0123456789abcdef" and i > 12])
    entry.value = entry.value[:at] + ("0" if entry.value[at] != "0" else "1") + entry.value[at + 1 :]
    return True


def output_name(proto, random):
    value = pick(random, proto.graph.output)
    for node in proto.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = "renamed" if name == value.name else name
    value.name = "renamed"
    return True


def stated_shape(proto, random):
    value = pick(random, [*proto.graph.input[:1], *proto.graph.output])
    dim = pick(random, value.type.tensor_type.shape.dim)
    if dim is None:
        return False
    if dim.HasField("dim_value"):
        dim.dim_value += 1
    else:
        dim.dim_value = 4
    return True


def stated_type(proto, random):
    pick(random, [*proto.graph.input[:1], *proto.graph.output]).type.tensor_type.elem_type = TensorProto.DOUBLE
    return True


def external(proto, random):
    tensor = pick(random, tensors(proto, lambda t: t.HasField("raw_data")))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="changed.onnx")  # the file itself is always there
    tensor.external_data.add(key="offset", value=str(random.integers(40)))
    size = int(np.prod(tensor.dims)) * np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
    tensor.external_data.add(key="length", value=str(size))
    return True


def function_body(proto, random):
    if not proto.functions:
        return False
    function = proto.functions[0]
    change = random.integers(3)
    if change == 0:
        function.node[1].op_type = "Min"
    elif change == 1:
        function.attribute_proto[0].f = 1.0
    else:
        function.node[1].input[1] = function.node[1].input[0]
    return True


def branches(proto, random):
    node = pick(random, [n for g in graphs(proto) for n in g.node if n.op_type == "If"])
    if node is None:
        return False
    node.attribute[0].name, node.attribute[1].name = node.attribute[1].name, node.attribute[0].name
    return True


def role(proto, random):
    nodes = [n for n in proto.graph.node if n.metadata_props]
    node = pick(random, nodes)
    entry = node.metadata_props[0]
    change = random.integers(3)
    if change == 0:
        del node.metadata_props[:]
    else:
        entry.value = "answer" if entry.value == "generator" else "generator"
    return True


def overridable(proto, random):
    tensor = pick(random, proto.graph.initializer)
    proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return True


def past_the_joint(proto, random):
    nodes = [n for n in proto.graph.node for name in n.input if name == "nfkit/protected"]
    if not nodes:
        return False
    node = pick(random, nodes)
    for i, name in enumerate(node.input):
        node.input[i] = proto.graph.input[0].name if name == "nfkit/protected" else name
    return True


def past_the_answer(proto, random):
    if not any(name == "nfkit/base_output" for node in proto.graph.node for name in node.output):
        return False
    before = proto.graph.output[0].name
    for node in proto.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = {"nfkit/base_output": before, before: "unread"}.get(name, name)
    return True


def training(proto, random):
    proto.training_info.add().algorithm.name = "a"
    return True


KINDS = {
    "weight of the base": nudge(lambda t: t.name in ("w", "d")),
    "weight of the generator": nudge(named("generator/k")),
    "scale": nudge(lambda t: t.name in ("s", "s_w") or t.name == "nfkit/generator/s"),
    "zero point": nudge(lambda t: t.name in ("z", "z_w")),
    "number of a mode": nudge(named("mode/table", "nfkit/mode")),
    "number of the answer": nudge(named("answer/doubt", "answer/weight", "answer/sharpness", "answer/temperature")),
    "threshold": nudge(named("answer/threshold")),
    "any constant of ours": nudge(lambda t: t.name.startswith("nfkit/")),
    "answer and metadata": answer_and_metadata,
    "attribute": attribute, "rewired": rewire, "operands swapped": swap_operands, "extra node": extra_node,
    "idle node": idle_node, "operator": other_operator, "domain": other_domain, "idle domain": idle_domain,
    "opset": opset, "IR version": ir_version, "metadata": metadata_value, "metadata gone": metadata_gone,
    "metadata new": metadata_new, "metadata twice": metadata_twice, "seal": seal_itself, "output name": output_name,
    "shape": stated_shape, "type": stated_type, "external data": external, "function": function_body,
    "branches": branches, "role": role, "overridable": overridable, "past the joint": past_the_joint,
    "past the answer": past_the_answer, "training": training,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_nfkit_wrote_is_proven(messages, outcome, small_base, tmp_path, form):
    found = outcome(messages[form])
    assert (found.outcome, found.exit_code) == ("proven", 0), str(found)
    base = save(small_base, tmp_path / "base.onnx")
    compared = nfkit.verify(found.path, base=base)
    assert compared.outcome == ("open" if form == "front" else "proven")  # a front holds no base


@pytest.mark.parametrize("kind", KINDS)
def test_every_tampering_is_found(messages, outcome, kind):
    random = np.random.default_rng(list(KINDS).index(kind))
    made = 0
    for form in (*FORMS, "early"):
        changed = onnx.ModelProto()
        changed.CopyFrom(messages[form])
        if KINDS[kind](changed, random):
            assert changed.SerializeToString() != messages[form].SerializeToString()
            found = outcome(changed)
            assert (found.outcome, found.exit_code) == ("wrong", 1), f"{form}\n{found}"
            made += 1
    assert made


def meaning(content):
    """What a file means: its message without what only readers see; None where it is no model."""
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except Exception:
        return None
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        proto.ClearField(field)
    for body in graphs(proto)[1:]:
        for value in body.output:  # what it gives is what its operators give: to state it is optional
            value.ClearField("type")
    for holder in [*graphs(proto), *proto.functions]:
        for field in ("doc_string", "value_info", "name") if isinstance(holder, onnx.GraphProto) else ("doc_string",):
            holder.ClearField(field)
        for node in holder.node:
            node.ClearField("name")
            node.ClearField("doc_string")
            for attribute in node.attribute:
                attribute.ClearField("doc_string")
    return proto.SerializeToString(deterministic=True)


@pytest.mark.parametrize("form", FORMS)
def test_flipped_bytes_are_found(messages, outcome, form):
    content, random = messages[form].SerializeToString(), np.random.default_rng(FORMS.index(form))
    plain, meant = meaning(content), 0
    for at in random.choice(len(content), 25, replace=False):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(random.integers(8))
        if meaning(bytes(flipped)) != plain:
            meant += 1
            assert outcome(bytes(flipped)).outcome != "proven", f"byte {at}"
    assert meant > 12


def test_with_the_base_at_hand_a_new_seal_does_not_help(protected, small_base, tmp_path):
    base = save(small_base, tmp_path / "base.onnx")
    sealed = protected("published")
    array = sealed.graph.initializers["w"].const_value.numpy().copy()
    array.flat[5] ^= 1
    sealed.graph.initializers["w"].const_value = ir.tensor(array, name="w")
    seal(sealed)
    path = save(sealed, tmp_path / "p.onnx")
    assert nfkit.verify(path).outcome == "proven"
    found = nfkit.verify(path, base=base)
    assert found.outcome == "wrong"
    assert "tensor 'w' differs" in str(found)
    assert "base file" not in {check.name for check in found.checks}  # nor that it was written anew


def test_files_without_a_seal_say_what_cannot_be_proven(protected, small_base, tmp_path):
    old = protected("both")
    del old.metadata_props[SEAL_KEY]
    path, base = save(old, tmp_path / "old.onnx"), save(small_base, tmp_path / "base.onnx")
    found = nfkit.verify(path)
    assert (found.outcome, found.exit_code) == ("open", 3)
    assert {check.name for check in found.checks if check.outcome == "open"} == {
        "generator", "answer", "interface", "metadata", "whole",
    }  # fmt: skip
    assert next(check for check in found.checks if check.name == "base").outcome == "proven"
    assert next(c for c in nfkit.verify(path, base=base).checks if c.name == "base").outcome == "proven"
    message = onnx.load(path)
    message.graph.doc_string = "written anew"
    for node in message.graph.node:
        node.doc_string = "by another tool"
    onnx.save(message, path)
    assert nfkit.verify(path).outcome == "wrong"  # the base may be another: nothing tells
    assert nfkit.verify(path, base=base).outcome == "open"
    weights = next(tensor for tensor in message.graph.initializer if tensor.name == "w")
    store(weights, numpy_helper.to_array(weights) ^ 1)
    onnx.save(message, path)
    assert nfkit.verify(path, base=base).outcome == "wrong"


# --- what changes none ---


def shuffled(random, field):
    entries = [type(entry).FromString(entry.SerializeToString()) for entry in field]
    del field[:]
    field.extend(entries[i] for i in random.permutation(len(entries)))


def node_order(proto, random):
    """Another order in which every node still comes after what it reads."""
    for graph in graphs(proto):
        waiting = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
        made_here = {name for node in waiting for name in node.output}
        done, order = set(), []
        while waiting:
            ready = [n for n in waiting if not (reads(n) & made_here) - done]
            node = ready[random.integers(len(ready))]
            waiting.remove(node)
            order.append(node)
            done |= set(node.output)
        del graph.node[:]
        graph.node.extend(order)


def reads(node):
    inner = [n for a in node.attribute if a.HasField("g") for n in a.g.node]
    outputs = {o.name for a in node.attribute if a.HasField("g") for o in a.g.output}
    return {*node.input, *outputs}.union(*(reads(n) for n in inner))


def metadata_order(proto, random):
    shuffled(random, proto.metadata_props)


def initializer_order(proto, random):
    for graph in graphs(proto):
        shuffled(random, graph.initializer)


def stated_types(proto, random):
    if random.integers(2):
        proto.CopyFrom(onnx.shape_inference.infer_shapes(proto))
        shuffled(random, proto.graph.value_info)
    else:
        del proto.graph.value_info[:]


def words(proto, random):
    proto.doc_string, proto.graph.doc_string = "about", "it"
    for graph in graphs(proto):
        for holder in (*graph.node, *graph.initializer, *graph.input, *graph.value_info):
            holder.doc_string = f"note {random.integers(99)}"
        for node in graph.node:
            for each in node.attribute:
                each.doc_string = "said"


def names(proto, random):
    proto.graph.name, proto.producer_name, proto.producer_version, proto.model_version = "other", "tool", "2", 7
    for graph in graphs(proto):
        for number, node in enumerate(graph.node):
            node.name = f"n{number}"


def comments(proto, random):
    for node in proto.graph.node:
        node.metadata_props.add(key="seen.by", value="tool")


def encoding(proto, random):
    """Numbers in typed fields in place of raw bytes."""
    for graph in graphs(proto):
        for tensor in graph.initializer:
            array = numpy_helper.to_array(tensor)
            tensor.CopyFrom(helper.make_tensor(tensor.name, tensor.data_type, tensor.dims, array.ravel().tolist()))


def opset_order(proto, random):
    shuffled(random, proto.opset_import)


def attribute_order(proto, random):
    for graph in graphs(proto):
        for node in graph.node:
            shuffled(random, node.attribute)


HARMLESS = (
    metadata_order, node_order, initializer_order, stated_types, words, names, comments, encoding, opset_order,
    attribute_order,
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_nothing_harmless_is_blamed(messages, outcome, small_base, tmp_path, form):
    random, base = np.random.default_rng(100 + FORMS.index(form)), save(small_base, tmp_path / "base.onnx")
    for number in range(30):  # each by itself, then some together
        chosen = [HARMLESS[number]] if number < len(HARMLESS) else random.choice(np.array(HARMLESS), 3, replace=False)
        changed = onnx.ModelProto()
        changed.CopyFrom(messages[form])
        for change in chosen:
            change(changed, random)
        onnx.checker.check_model(changed, full_check=True)
        found = outcome(changed)
        assert found.outcome == "proven", f"{[change.__name__ for change in chosen]}\n{found}"
    if form != "front":
        assert nfkit.verify(found.path, base=base).outcome == "proven"


def test_fronts_of_bases_that_are_no_files(protected, tmp_path):
    model = protected("both")
    front = front_of(model, read_input(model), None)
    path = save(front, tmp_path / "p.front.onnx")
    assert nfkit.verify(path).outcome == "proven", str(nfkit.verify(path))
    front.graph.initializers["nfkit/answer/doubt"].const_value = ir.tensor(np.array(0.9, np.float32))
    assert nfkit.verify(save(front, path)).outcome == "wrong"


def test_what_was_made_for_a_runtime_is_refused(protected, tmp_path):
    (made,) = adapt(protected("both"), TARGETS["tract"])[0].values()
    with pytest.raises(ModelError, match="was made for a runtime by nfkit export"):
        nfkit.verify(save(made, tmp_path / "p.tract.onnx"))


def test_modes_do_not_go_where_no_branches_do(protected):
    without = replace(TARGETS["tract"], branches=False)
    with pytest.raises(UnsupportedError, match="nfkit modes --remove"):
        adapt(protected("modes"), without)


def test_a_wrong_type_of_a_value_inside_is_found(messages, outcome):
    changed = onnx.shape_inference.infer_shapes(messages["both"])
    value = next(v for v in changed.graph.value_info if v.name == "f")
    value.type.tensor_type.shape.dim[1].dim_value += 1
    found = outcome(changed)
    assert "stated types" in [check.name for check in found.checks if check.outcome == "wrong"]


def test_a_wrong_type_of_what_a_branch_gives_is_found(messages, outcome):
    changed = onnx.ModelProto()
    changed.CopyFrom(messages["early"])
    gate = next(node for node in changed.graph.node if node.op_type == "If")
    branch = next(a.g for a in gate.attribute if a.name == "else_branch")
    branch.output[0].type.tensor_type.shape.dim[1].dim_value += 1
    found = outcome(changed)
    assert "stated types" in [check.name for check in found.checks if check.outcome == "wrong"]
