"""What to recommend: operating points, rivals, what each saves, and which of them wins.

Of a measurement: `operating_points` says which voltage a rate stands for, `assessment` joins them with savings and with
what a protected model has to beat (`rivals`, `early_rival`), and `verdicts` decides. Of a plan: `means` says what may
be tried, `ladder` at which voltages, `halves` and `looked` what is answered there on one half of the images,
`tolerance` which voltage is chosen and confirmed on the other, `early_settings` which threshold with it,
`recommendation` which way wins. Of a search: `candidates`, `generator_choice` and `energy_analysis` decide by counting,
before anything is trained, and `front` is what no other beats.

May import every room but workflows and the command line.
"""
