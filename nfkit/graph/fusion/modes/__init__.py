"""Modes in one file: one number chooses, at run time, between the base alone and levels of low voltage.

    nfkit/mode = 0: nominal   image ──────────────> base ──────────────────────> the base's own output
    nfkit/mode = 1, 2, ...    image ─> generator ─> base ─> answer stage with the trust of that level

The number is an initializer that is an input as well: it has a default, which a file states, and a host may give
another with every run. In mode 0 neither the generator nor the answer stage decides anything: they stand in branches of
an If, the generator does not run, and what comes out are the base's scores themselves, not a computation that should
give the same. Levels differ in the numbers of the answer, which are read from one table each.

`record` is what the metadata say of them, `giving.with_modes` makes such a file and `taking.plain` undoes it;
everything else in nfkit looks at a file through `plain`.
"""
