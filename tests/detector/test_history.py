"""What the estimator tells of its training: `history_`, and Keras's callbacks."""

import csv

import keras
import numpy as np
import pytest

from alad_tf import ALADDetector


@pytest.mark.slow  # the quick tests are in test_members, and test_inputs has `history_`
def test_a_fit_keeps_its_losses_and_calls_callbacks(tmp_path):
    rows = np.random.default_rng(0).normal(size=(90, 3))
    detector = ALADDetector(steps=120, n_members=2, batch_size=16)
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=1e9),
        keras.callbacks.TensorBoard(tmp_path / "board"),
    ]
    detector.fit(rows, callbacks=callbacks)
    history = detector.history_
    assert history["step"] == [100, 120] and detector.n_iter_ == 120
    assert {"loss", "D_xz", "D_xx", "D_zz", "G", "E", "learning_rate"} <= set(history)
    logged = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [float(row["loss"]) for row in logged] == pytest.approx(history["loss"])
    assert history["loss"][0] == pytest.approx(
        sum(history[name][0] for name in ("D_xz", "D_xx", "D_zz", "G", "E")), rel=1e-5
    )
    assert list((tmp_path / "board").rglob("events*"))
    with pytest.raises(ValueError, match="expected instances of keras.callbacks.Callback"):
        detector.fit(rows, callbacks=["csv"])
