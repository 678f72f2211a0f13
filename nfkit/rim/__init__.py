"""Behind `nfkit.model`: what a model must be to come in, and what of it must last until it goes out again.

`failures` is the one place where a library's failure becomes a sentence, `external` treats data beside a model. May
import: `nfkit.errors`, `nfkit.outputs`; nothing here knows what a weight or a fault is.
"""
