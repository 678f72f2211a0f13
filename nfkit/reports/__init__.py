"""What a measurement leaves behind: records, provenance, and how both are read and seen.

A record is a type in the module of its subject (`evaluation`, `plan`, `campaign`, ...), `Readable` of `rendering`, made
of `figures`, `operating_point`, `energy`, `verdict` and `provenance`. `reading` reads them back, those of `version1`
too. `seen` says which pictures a record has; the modules `*_charts` and `*_maps` give them to `nfkit.pictures` as data.
`document` is the HTML page of several, `terms` what their words mean. A new form of report is one module here.

May import: `nfkit.data`, `nfkit.graph`, `nfkit.pictures`, `nfkit.model`, `nfkit.errors`; it is given results and
computes none.
"""
