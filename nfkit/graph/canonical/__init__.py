"""One flat graph of standard operators, whatever form the file has: made for reading, never written.

`view` makes it; `inlining` puts functions where they are called and bodies where they are run; `rewrites` holds one
rule an operator, `rewriter` what rules are written with. A new operator on codes is one rule.
"""
