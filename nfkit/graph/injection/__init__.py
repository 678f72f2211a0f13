"""The faults of one chip written into a model, as nodes, as inputs or as codes, and taken out again.

`inject` does both, with `faultnode` for where nodes stand and `functions` for what they compute; `record` is what a
faulted file says of itself. `cutting` finds the place in a graph before which errors in some of the weights reach
nothing. A new kind of fault brings its ONNX function to `functions`.
"""
