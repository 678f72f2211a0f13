"""The faults of one chip written into a model, as nodes, as inputs or as codes, and taken out again.

A new kind of fault brings its ONNX function to `functions`.
"""
