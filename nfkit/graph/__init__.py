"""What is done to ONNX graphs, and what is read off them. No torch; onnxruntime in one module only.

One room a question: `memory` (what is stored), `operators` (what an operator means), `canonical` (one form for
reading), `quantised` (codes made and changed), `injection` (faults in and out), `fusion` (generator and base in one
file), `input` (what goes in). A new question is a new room; a function that answers two belongs to the lower one.
May import: `nfkit.faults`, `nfkit.model`, `nfkit.errors`.
"""
