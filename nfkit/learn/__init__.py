"""Generators trained in torch in front of a frozen graph.

`gradients` makes a frozen graph differentiable, `phases` holds the losses, `train` the loop, `export` the way back to
ONNX. With `nfkit.models.generators` the only rooms that import torch. May import: `nfkit.graph`, `nfkit.faults`,
`nfkit.data`; never `nfkit.measure`.
"""
