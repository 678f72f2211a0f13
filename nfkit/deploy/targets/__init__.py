"""Where a finished file runs: what each runtime takes, as data, and what has to change for it.

`target` says what a target states of itself, `known` holds them all; `findings` compares a model with one, `changes`
makes of a model what it takes, `runtimes` runs the result there. A new target is an entry of `known.TARGETS` and a
function in `runtimes`; the facts are those of docs/targets.md, measured and not read in manuals. May import:
`nfkit.graph`, `nfkit.access`, `nfkit.pages`, `nfkit.reports`.
"""
