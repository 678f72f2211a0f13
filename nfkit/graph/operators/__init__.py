"""What an operator means, once: its operands' roles, where their scales are, what it passes on, how it is counted.

`facts` is the form of an entry, `table` holds one entry an operator, `operands` answers about a node, `vendors` knows
whose the operators are that no runtime here has. Sites, recoding, rewriting and energy read them from here: a new
operator is one entry of `table`.
"""
