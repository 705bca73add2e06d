"""Speed of training and scoring: beside other libraries, the machine's limit, as sizes grow.

`python -m benchmarks.train_step` and the like print a table and write `results/benchmarks/*.json`.
Compared times come from one run, in turns; `pip install alad-tf[bench]` installs the peers.
"""

from alad_tf.engine.quiet import quiet_tensorflow

quiet_tensorflow()
