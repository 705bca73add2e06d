"""The peers: PyOD's ALAD with layer sizes set to ours, scikit-learn's Isolation Forest."""

import numpy as np


def pyod_alad(entry, x, spectral_norm):
    """PyOD's ALAD (PyTorch) for a table's entry, built and fitted for one step.

    D_xz is one stack on the joined (x, z) there; it gets the widths of our x branch and of our
    joint rows, which makes it smaller than ours. Everything else has our widths and our batch.

    Args:
        entry: `zoo._entry.Entry` of a table.
        x: float32 array (N, d), N at least the batch.
        spectral_norm: bool.

    Returns:
        `pyod.models.alad.ALAD`.

    Raises:
        ImportError: PyOD or PyTorch is not installed.
    """
    try:
        from pyod.models.alad import ALAD
    except ImportError as error:
        raise ImportError(
            f"The peers are not installed ({error}): pip install -r requirements-bench.txt"
        ) from error

    def widths(rows):
        return [row.units for row in rows[:-1]]

    rows = entry.networks
    model = ALAD(
        enc_layers=widths(rows["E"]),
        dec_layers=widths(rows["G"]),
        disc_xz_layers=[rows["D_xz"]["x"][0].units, *widths(rows["D_xz"]["joint"])],
        disc_xx_layers=widths(rows["D_xx"]),
        disc_zz_layers=widths(rows["D_zz"]),
        latent_dim=entry.latent_dim,
        spectral_normalization=spectral_norm,
        add_disc_zz_loss=True,
        add_recon_loss=False,
        activation_hidden_gen="relu",
        activation_hidden_disc="relu",
        output_activation=None,
        batch_size=entry.batch_size,
        epochs=1,
        preprocessing=False,
    )
    return model.fit(x[: 20 * entry.batch_size])


def pyod_step(model, x, z):
    """A function that makes one training step of PyOD's model, its feed left out.

    Args:
        model: from `pyod_alad`.
        x: float32 array (B, d).
        z: float32 array (B, latent).
    """
    data = np.asarray(x, "float32"), np.asarray(z, "float32")
    return lambda: model.train_step(data)


def isolation_forest(x, seed=0):
    """scikit-learn's Isolation Forest with its defaults, fitted to (N, d) rows."""
    from sklearn.ensemble import IsolationForest

    return IsolationForest(random_state=seed).fit(x)
