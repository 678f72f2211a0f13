"""The public calls: what a user wants done, from file to result, with the defaults of the commands.

A workflow takes paths or objects, joins the rooms, and returns one whole result; the command line calls these and
nothing else. One workflow a module. May import every room but the command line.
"""
