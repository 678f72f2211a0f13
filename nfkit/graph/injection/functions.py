"""The fault nodes, as ONNX functions of the domain `nfkit`.

They are readable in a graph viewer, run wherever model-local functions do, and are folded away by ONNX Runtime when
their masks are constants. A kind of fault brings its function as text (`nfkit.faults.kinds`); where codes are held in
other words than the file stores, another function goes around it, which looks the words up in tables that each node
brings along:

    w -> nfkit.HeldStuckAt<storage, encode, decode>(w, and_mask, or_mask)
"""

from __future__ import annotations

import onnx
import onnx.parser
import onnx_ir as ir

from nfkit.errors import UnsupportedError
from nfkit.faults import BitErrors
from nfkit.faults.codes import NumberCode
from nfkit.faults.codes.base import TABLED_BITS
from nfkit.graph.injection.faultnode import DOMAIN
from nfkit.graph.memory.sites import WeightSite

_HELD = """
    Held{name} <storage, encode, decode> (weight{masks}) => (read) {{
        words = Constant <value: tensor = @encode> ()
        code = Cast <to = 6> (weight)
        held = Gather (words, code)
        returned = {domain}.{name} (held{masks})
        codes = Constant <value: tensor = @decode> ()
        word = Cast <to = 6> (returned)
        read = Gather (codes, word)
    }}"""


def fault_functions(errors: BitErrors, opset: int) -> list[ir.Function]:
    """The functions that inject errors of a kind, importing the opset of the model that they join.

    Returns:
        The one that fault nodes call first, and then what that calls.
    """
    kind = _parse(errors.fault_kind.function, opset)
    if not isinstance(errors.storage_code, NumberCode):
        return [kind]
    masks = "".join(f", {value.name}" for value in kind.inputs[1:])
    return [_parse(_HELD.format(name=kind.name, masks=masks, domain=DOMAIN), opset, nested=True), kind]


def fault_attributes(errors: BitErrors, site: WeightSite) -> list[ir.Attr]:
    """What the node of a site tells its function besides the masks.

    Raises:
        UnsupportedError: When the site's codes are too wide for tables.
    """
    storage = errors.storage_code
    if not isinstance(storage, NumberCode):
        return []
    check_tables(errors, site)
    encode, decode = storage.tables(site.bits, site.dtype)
    return [
        ir.AttrString("storage", storage.name),
        ir.AttrTensor("encode", ir.tensor(encode, name="encode")),
        ir.AttrTensor("decode", ir.tensor(decode, name="decode")),
    ]


def check_tables(errors: BitErrors, site: WeightSite) -> None:
    """Refuses a site whose held words no table can list.

    Raises:
        UnsupportedError: With the mode that can do without.
    """
    if isinstance(errors.storage_code, NumberCode) and site.bits > TABLED_BITS:
        raise UnsupportedError(
            f"'{site.name}' has {site.bits}-bit codes, and a fault node looks up words of up to {TABLED_BITS} bits "
            f"(--storage {errors.storage}): use --mode baked"
        )


def _parse(text: str, opset: int, *, nested: bool = False) -> ir.Function:
    # One version of the operators in the whole file: the bitwise ones have not changed since opset 18.
    own = f', "{DOMAIN}" : 1' if nested else ""
    header = f'<opset_import: ["" : {opset}{own}], domain: "{DOMAIN}">'
    proto: onnx.FunctionProto = onnx.parser.parse_function(header + text)
    return ir.serde.deserialize_function(proto)
