"""Accuracy, agreement, latency: what a model does on data and chips, with its statistics. No torch.

May import: `nfkit.access`, `nfkit.graph`, `nfkit.faults`, `nfkit.data`, `nfkit.reports`; never `nfkit.learn`.
"""
