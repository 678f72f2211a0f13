"""What happens to a finished file: it is verified by whoever receives it, and looked after where it runs.

`contents` looks for what no protected file holds, `parts` compares its parts with what nfkit sealed, with the base's
own file and with the record of the protection, `stated_types` compares the types that it states with those that its
operators give, `figures` measures what it claims again; `targets` knows which runtimes take it, makes files for them
and runs these there. `signing` and `bom` are by libraries of others. `canary` chooses inputs by whose answers a device
tells how its memory does, `canary_file` keeps them, `health` asks them where the file runs. None of it needs torch.

What nfkit writes into a file for this (the seal) is made where files are made, in `nfkit.graph.fusion`. May import:
`nfkit.graph`, `nfkit.faults`, `nfkit.data`, `nfkit.access`, `nfkit.reports`, `nfkit.measure`, `nfkit.pages`.
"""
