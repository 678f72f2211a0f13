"""Pictures of numbers: charts as data, and drawn as SVG, in a terminal, or by matplotlib.

A new kind of picture is a type and a function that draws it. May import: `nfkit.errors`, `nfkit.outputs`. It knows no
record and no model: what a picture shows, it is given, and it draws whatever it is given within bounds.
"""
