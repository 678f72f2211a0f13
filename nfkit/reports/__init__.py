"""What a measurement leaves behind: records, provenance, and how both are read and seen.

A new form of report is one module here. May import: `nfkit.data`, `nfkit.graph`, `nfkit.pictures`, `nfkit.model`,
`nfkit.errors`; it is given results and computes none.
"""
