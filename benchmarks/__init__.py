"""How fast training and scoring are: against peers, against the machine's limit, and as they grow.

`python -m benchmarks.train_step` and the like print a table and write `results/benchmarks/*.json`.
Compared times are of one run, taken in turns; `pip install alad-tf[bench]` brings the peers.
"""
