"""What a measurement leaves behind: records, provenance, pictures.

A new form of report is one module here. May import: `nfkit.data`, `nfkit.graph`, `nfkit.model`, `nfkit.errors`; it is
given results and computes none.
"""
