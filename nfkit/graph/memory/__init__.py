"""What a model stores: constant tensors under one name each, what becomes of them, and which of them are weights.

`storage` finds the tensors, `paths` knows the ways through calls and bodies, `flow` follows a tensor to what reads it,
`readings` is what that finds, `ranks` says which of several tensors that meet is the weight, `palettes` which tensors
are looked up in a few numbers, and `survey` holds all of that for a model, found once. From it, `sites` says which are
weight memory, `coverage` how much of the weights that is, `inventory` why the others are none, `operands` which memory
a layer reads, `scales` which scales are no use; `bits` says how many cells a code has, `original` which file it was,
`foreign` what other makers hide. A new form of storing weights is a case of `storage` (where it lies), of `flow` (what
is done with it), or an entry in the table of operators; no other room may find weights by itself.
"""
