"""What goes into a model: type, layout and valid range (`spec`), how to find them (`discovery`).

`affine` is the way from images to such an input and back, and `positions` refuses inputs that are no numbers to shift.
"""
