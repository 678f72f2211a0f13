"""A model in a web page that runs it: no server, no network, one file.

`contents` says what a page holds, `patchable` serialises a model so that the page can put other codes into it,
`web_runtime` finds the ONNX Runtime that runs it there, `assembly` writes the file. What runs in the browser lies
beside them: `page.html`, `page.css`, and `chip.js` (which cells err), `session.js` (models), `page.js` (what one sees
and presses). May import: `nfkit.graph`, `nfkit.faults`, `nfkit.data`; voltages and energies are handed in.
"""
