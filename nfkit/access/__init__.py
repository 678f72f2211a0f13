"""Ways to run a base: each answers a batch with scores.

`runtime` runs a file in ONNX Runtime. What else can answer (a callable, an endpoint) is one module here. May import:
`nfkit.graph`, `nfkit.faults`, `nfkit.model`, `nfkit.errors`; never torch.
"""
