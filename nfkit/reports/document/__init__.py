"""Records as one HTML file: what stands in it, in which order, and its template.

May import what `nfkit.reports` may. The file needs no network and no script, and holds whatever records say as text.
"""
