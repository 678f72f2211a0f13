"""Campaigns: many models, remedies, errors and chips, measured until enough is known, whatever ends the process.

`plan` is what a user asks for and `reading` where it is checked, `kit` what a worker is given, `workbench` how it
measures, `engines` who works, `store` where each measurement is kept, `stopping` when a cell is known well enough,
`estimate` what a plan will take, `running` the course of it all, and `results`, `merging` and `exporting` what is made
of a store. May import every room below workflows but plans; `nfkit.workflows.campaigning` is the public call.
"""
