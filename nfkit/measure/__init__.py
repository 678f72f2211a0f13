"""Accuracy, agreement, latency: what a model does on data and chips, with its statistics. No torch.

`bench` holds a model and its samples ready and runs any chip, `evaluation` runs rates x chips on it, `journal` keeps
what is finished; `statistics` gives every figure its interval (`two_way` is the analysis behind it). `precision` does
so at fewer bits, `vulnerability` with errors in one site, `judge` by a metric of the user's own, `latency` measures
times. `answering` asks a base that cannot be opened, `labels` takes its answers for labels, `device` estimates the rate
behind them. For both ends: `chip_scores` and `faulty_scores` are scores on chips, `trust`, `threshold` and `early` are
fitted on them. Doubts about data stand in `plausibility`, with `likely_causes`, `normalisation` and `symmetry`. Reports
show `single_samples`, `answers`, `calibration` and a `score_map`. `flips` counts bits, and `quantisation` makes a
quantised model and says what it cost.

May import: `nfkit.access`, `nfkit.graph`, `nfkit.faults`, `nfkit.data`, `nfkit.reports`; never `nfkit.learn`.
"""
