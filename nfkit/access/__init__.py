"""Ways to ask a base: each answers a batch with scores.

`base` says what that is. `runtime` runs a file in ONNX Runtime, `swapping` one with other codes, `shortcut` the rest of
one behind what no error reaches; `remote` opens a base behind an address (`endpoint`, over `transport`, `replies` and
`wire`, with `store` and `budget`); `server` puts one there. A new way to ask is a class that fits `base.Base`.

May import: `nfkit.graph`, `nfkit.faults`, `nfkit.model`, `nfkit.errors`; never torch.
"""
