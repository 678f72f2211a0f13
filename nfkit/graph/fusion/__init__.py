"""A generator and a frozen base in one file, and that file taken apart again.

`fused` names what tells such a file from others; `fuse` and `split` are inverse to each other.
"""
