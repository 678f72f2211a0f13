"""What can be done against bit errors, one remedy a module: NeuralFuse first.

A remedy says what it does to graph, faults and energy, what hardware it needs, and describes itself in a sentence. May
import every room below it; nothing but `nfkit.plans`, campaigns and the command line imports it.
"""
