"""What a model stores: constant tensors under one name each, what becomes of them, and which of them are weights.

`storage` finds the tensors, `flow` follows them to what reads them, `sites` says which are weight memory, `bits` how
many cells a code has, `inventory` why the others are none. A new form of storing weights is a case of `storage` (where
it lies) or of `flow` (what moves it); no other room may find weights by itself.
"""
