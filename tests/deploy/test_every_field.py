"""Every kind of field of the ONNX message is changed in files of every form: what matters is found, and nothing else.

The kinds are those of the descriptors, so that none is forgotten, and one that a later ONNX has is missed at once. A
place is where a field stands, by the names of the fields above it: `graph.node.attribute.ints`. What stands in a body
is written `graph.body.node.op_type`.
"""

import re
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor

import nfkit
from nfkit.graph.fusion.seal import seal
from nfkit.model import save

FORMS = ("published", "both", "early", "modes", "front", "back")
NOT_HELD = {"TensorAnnotation"}
"""Messages that no form holds and that are no harm when they are empty; tested by themselves."""


@pytest.fixture(scope="module")
def messages(protected, tmp_path_factory):
    """The files of all forms, as messages."""
    folder = tmp_path_factory.mktemp("fields")
    return {form: onnx.load(save(protected(form), folder / f"{form}.onnx")) for form in FORMS}


def copy(message):
    made = onnx.ModelProto()
    made.CopyFrom(message)
    return made


# --- the fields, and a change of each ---

_NOTHING = {
    FieldDescriptor.CPPTYPE_STRING: "", FieldDescriptor.CPPTYPE_FLOAT: 0.0, FieldDescriptor.CPPTYPE_DOUBLE: 0.0,
    FieldDescriptor.CPPTYPE_INT32: 0, FieldDescriptor.CPPTYPE_INT64: 0, FieldDescriptor.CPPTYPE_UINT64: 0,
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field of one message of a file.

    Attributes:
        place: Where it stands.
        message: The message that has it, or would have it.
        field: Its descriptor.
    """

    place: str
    message: object
    field: object

    @property
    def kind(self):
        return f"{self.field.containing_type.name}.{self.field.name}"


def kinds():
    """All fields that a model can hold, by `Message.field`."""
    found, pending = {}, [onnx.ModelProto.DESCRIPTOR]
    while pending:
        kind = pending.pop()
        for field in kind.fields:
            if f"{kind.name}.{field.name}" not in found:
                found[f"{kind.name}.{field.name}"] = field
                pending += [field.message_type] if field.message_type else []
    return found


def fields(message, place=""):
    """Every field of a message and of those in it, held or not."""
    for field in message.DESCRIPTOR.fields:
        here = _place(place, field.name)
        yield Field(here, message, field)
        if field.message_type is None:
            continue
        held = getattr(message, field.name)
        for inner in held if field.is_repeated else [held] if message.HasField(field.name) else []:
            yield from fields(inner, here)


def _place(above, name):
    inside = above.endswith("node.attribute") and name in ("g", "graphs")
    return f"{above.removesuffix('.node.attribute')}.body" if inside else f"{above}.{name}".strip(".")


def changes(message, field):
    """The ways to change a field, by name; each changes the message in place."""
    held = len(getattr(message, field.name)) if field.is_repeated else message.HasField(field.name)
    if not field.is_repeated:
        ways = {"changed" if held else "given": _set}
        return {**ways, "taken out": lambda m, f, random: m.ClearField(f.name)} if held else ways
    ways = {"one more": _add}
    if held:
        ways |= {"one less": _remove, "one twice": _repeat}
        if field.message_type is None:
            ways["changed"] = _set_one
    return ways


def _set(message, field, random):
    if field.message_type is not None:
        inner = getattr(message, field.name)
        if message.HasField(field.name):  # what is in it is changed by itself
            inner.ParseFromString(inner.SerializeToString() + b"\xfa\xff\x03\x01x")
        else:
            inner.SetInParent()
    else:
        setattr(message, field.name, _other(field, getattr(message, field.name), random))


def _add(message, field, random):
    entries = getattr(message, field.name)
    if field.message_type is not None:
        entries.add()
    else:
        entries.append(entries[-1] if entries else _other(field, _NOTHING[field.cpp_type], random))


def _remove(message, field, random):
    del getattr(message, field.name)[random.integers(len(getattr(message, field.name)))]


def _repeat(message, field, random):
    entries = getattr(message, field.name)
    entry = entries[random.integers(len(entries))]
    if field.message_type is not None:
        entries.add().CopyFrom(entry)
    else:
        entries.append(entry)


def _set_one(message, field, random):
    entries = getattr(message, field.name)
    at = random.integers(len(entries))
    entries[at] = _other(field, entries[at], random)


def _other(field, value, random):
    if field.enum_type is not None:
        return next(number for number in sorted(field.enum_type.values_by_number) if number != value)
    if field.cpp_type == field.CPPTYPE_STRING:
        if field.type == field.TYPE_BYTES:
            if not value:
                return b"x"
            at = int(random.integers(len(value)))
            return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        return f"{value}x"
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return value + 1.0
    return value + 1


# --- what is found ---


def harmless(place, way, says_the_same):
    """Whether a change leaves what a file computes, and what it says of that, as it was."""
    if says_the_same or re.search(r"(^|\.)(doc_string|denotation)$", place):
        return True
    if place in ("producer_name", "producer_version", "domain", "model_version"):
        return True
    if re.fullmatch(r"graph(\.body)*\.name|.*\.node\.name", place):
        return True
    if place.endswith(".metadata_props"):  # a note of somebody; nfkit's own are the model's, and the roles of nodes
        return way == "one more"
    if place.endswith("quantization_annotation"):  # of no tensor
        return way == "one more"
    inside = re.search(r"\.(value_info|body\.output)(\..*)?$", place)  # types inside the file may be stated or not
    if inside is None:
        return False
    what, field = inside.group(1), inside.group(2) or ""
    if what == "value_info" and field in ("", ".name"):
        return True
    if what == "body.output" and field in ("", ".name"):
        return False
    nothing = way == "given" and field in (".type", ".type.tensor_type")
    return way == "taken out" or field.endswith(".dim_param") or nothing


def drawn(message, random):
    """One change of each kind of field: kind, place, way, and whether it says the same; made in a copy."""
    places = {}
    for index, found in enumerate(fields(message)):
        places.setdefault(found.kind, {}).setdefault(found.place, []).append(index)
    for kind, at in places.items():
        place = list(at)[random.integers(len(at))]
        changed = copy(message)
        found = list(fields(changed))[at[place][random.integers(len(at[place]))]]
        ways = changes(found.message, found.field)
        way = list(ways)[random.integers(len(ways))]
        before = None if found.field.is_repeated else getattr(found.message, found.field.name)
        ways[way](found.message, found.field, random)
        same = way == "taken out" and found.field.message_type is None and before == found.field.default_value
        yield kind, place, way, same, changed


@pytest.mark.parametrize("form", FORMS)
def test_one_change_of_every_kind_of_field(messages, tmp_path, form):
    path, random = tmp_path / "changed.onnx", np.random.default_rng(FORMS.index(form))
    reached, opened = set(), set(NOT_HELD)
    for kind, place, way, same, changed in drawn(messages[form], random):
        path.write_bytes(changed.SerializePartialToString())
        found = nfkit.verify(path)
        assert (found.outcome == "proven") == harmless(place, way, same), f"{place}, {way}\n{found}"
        reached.add(kind)
        inner = kinds()[kind].message_type
        opened |= {inner.name} if inner is not None else set()
    # What is left out stands in messages that the file does not hold: that they are there at all is found.
    left = set(kinds()) - reached
    while left and (inside := {kind for kind in left if kind.partition(".")[0] in opened}):
        opened |= {kinds()[kind].message_type.name for kind in inside if kinds()[kind].message_type}
        left -= inside
    assert left == set()


@pytest.mark.parametrize("form", FORMS)
def test_an_annotation_of_a_tensor_is_found(messages, tmp_path, form):
    changed = copy(messages[form])
    noted = changed.graph.quantization_annotation.add(tensor_name=changed.graph.node[0].output[0])
    noted.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value=changed.graph.initializer[0].name)
    (tmp_path / "changed.onnx").write_bytes(changed.SerializeToString())
    assert "whole" in {c.name for c in nfkit.verify(tmp_path / "changed.onnx").checks if c.outcome == "wrong"}


def twice(**changed):
    """twice(field=value): the first entry of a list, given once more with another value."""

    def make(entries):
        entries.insert(0, type(entries[0]).FromString(entries[0].SerializeToString()))
        for name, value in changed.items():
            setattr(entries[0], name, value)

    return make


@pytest.mark.parametrize(
    ("entries", "make", "says"),
    [
        (lambda m: m.opset_import, twice(version=9), "operator set"),
        (lambda m: m.functions, twice(doc_string="mine"), "function 'Bounded' is given 2 times"),
        (lambda m: m.functions[0].opset_import, twice(version=9), "of the function 'Bounded' is given 2 times"),
        (lambda m: m.functions[0].attribute_proto, twice(f=3.0), "attribute 'least' of function 'Bounded'"),
        (lambda m: next(n for n in m.graph.node if n.metadata_props).metadata_props, twice(value="base"), "given 2 t"),
    ],
)  # fmt: skip
def test_what_is_given_twice_is_read_in_two_ways(messages, tmp_path, entries, make, says):
    changed = copy(messages["both"])
    make(entries(changed))
    (tmp_path / "changed.onnx").write_bytes(changed.SerializeToString())
    assert says in str(nfkit.verify(tmp_path / "changed.onnx"))


def test_a_base_s_own_annotations_and_names_used_in_both_branches(protected, small_base, tmp_path):
    """What a base brings is its own: nothing of it is blamed after the file was written and read."""
    file = protected("both")
    for value in (file.graph.initializers["w"], next(n for n in file.graph if n.op_type == "MatMul").outputs[0]):
        value.meta["quant_parameter_tensor_names"] = {"SCALE_TENSOR": "s"}
    seal(file)
    path = save(file, tmp_path / "noted.nf.onnx")
    assert len(onnx.load(path).graph.quantization_annotation) == 2
    assert nfkit.verify(path).outcome == "proven"
    assert nfkit.verify(path, base=save(small_base, tmp_path / "base.onnx")).outcome == "proven"


def test_what_hides_in_a_body_of_a_function(protected, tmp_path):
    """A base may hold such a function; what a reader passes over in it is in no digest."""
    file = onnx.load(save(protected("both"), tmp_path / "p.nf.onnx"))
    holder = onnx.parser.parse_model(
        """
        <ir_version: 9, opset_import: ["" : 18, "own" : 1]>
        g (float[N] x) => (float[N] y) { y = own.Chosen (x) }
        <domain: "own", opset_import: ["" : 18]>
        Chosen (x) => (y)
        {
            c = Constant <value_int: int = 1> ()
            b = Cast <to = 9> (c)
            y = If (b) <
                then_branch = t () => (float[N] p) <float one = {1}> { p = Mul (x, one) },
                else_branch = e () => (float[N] q) { q = Identity (x) }
            >
        }
        """
    )
    file.functions.append(holder.functions[0])
    path = tmp_path / "changed.onnx"
    for hidden in (False, True):
        if hidden:
            (gate,) = (node for node in file.functions[-1].node if node.op_type == "If")
            gate.attribute[0].g.initializer[0].segment.begin = 4
        path.write_bytes(file.SerializeToString())
        (found,) = (check for check in nfkit.verify(path).checks if check.name == "format")
        assert (found.outcome == "wrong") == hidden
