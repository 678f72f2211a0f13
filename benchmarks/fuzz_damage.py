"""Every way in which a protobuf message can be damaged: by field, in its metadata, by byte."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor

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
