"""What can be done against bit errors, one remedy a module.

`base` says what a remedy is: what it does to graph, faults and energy, what hardware it needs (`hardware`), and a
sentence. `registry` knows them by name; a new one is a module here with a subclass of `Remedy`, and a line there.
`neuralfuse` trains the first of them, `site_choice` finds the sites of another. May import every room below; nothing
but `nfkit.plans`, `nfkit.workflows` and campaigns imports it.
"""
