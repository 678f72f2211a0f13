"""What to recommend: operating points, rivals, what each saves, and which of them wins.

May import every room but the command line.
"""
