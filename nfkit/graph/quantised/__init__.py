"""Codes made and changed: from float, folded, packed, requantised, recoded.

A new quantised form that is to become plain codes is one module here. The only room of `nfkit.graph` that runs
onnxruntime (its quantiser, in `from_float`).
"""
