"""What can be done against bit errors, one remedy a module.

`base` says what a remedy is: what it does to graph, faults and energy, what hardware it needs (`hardware`), and a
sentence. `registry` knows them by name; a new one is a module here with a subclass of `Remedy`, and a line there.

The first of them trains: `trained` is the remedy, a fused file in place of its base, and `answering` the ways to run
one; `neuralfuse` makes the file, with `parity` between torch and ONNX Runtime before, `both_ends` for the answer, and
`surrogates` or `distillation` where a base gives no gradients. `site_choice` finds the sites of `mixed_voltage`. May
import every room below; nothing but `nfkit.plans`, `nfkit.workflows` and campaigns imports it.
"""
