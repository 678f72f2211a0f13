"""What an operator means, once: its operands' roles, where their scales are, what it moves.

Sites, recoding, rewriting and energy read it from here. A new operator is one entry.
"""
