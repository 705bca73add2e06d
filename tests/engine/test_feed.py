"""The feed: two independent orders an epoch, whole batches, a function of (seed, epoch)."""

import numpy as np
import pytest

from alad_tf.engine.feed import PairedBatches


def batches(feed, epoch):
    chunks = feed.epochs(first=epoch).take(feed.chunks)
    pairs = [(d[k], g[k]) for d, g, count in chunks for k in range(int(count))]
    return np.array([[a.numpy(), b.numpy()] for a, b in pairs])


def rows(n):
    return np.arange(n, dtype="float32")[:, None]


@pytest.mark.parametrize(("n", "batch", "chunk"), [(23, 4, 2), (24, 4, 100), (9, 4, 1), (4, 4, 3)])
def test_an_epoch_holds_every_whole_batch_once_in_each_order(n, batch, chunk):
    seen = batches(PairedBatches(rows(n), batch, seed=3, chunk=chunk), epoch=0)
    assert seen.shape == (n // batch, 2, batch, 1)
    for order in (seen[:, 0].ravel(), seen[:, 1].ravel()):
        assert len(set(order)) == n // batch * batch
        assert set(order) <= set(range(n))


def test_the_two_orders_and_the_epochs_differ():
    feed = PairedBatches(rows(64), 8, seed=0)
    first, second = batches(feed, 0), batches(feed, 1)
    assert not np.array_equal(first[:, 0], first[:, 1])
    assert not np.array_equal(first, second)
    # independent orders agree in about one place of 64; 12 or more has a chance below 1e-9
    assert (first[:, 0] == first[:, 1]).sum() < 12


def test_an_epoch_is_a_function_of_seed_and_number():
    feed = PairedBatches(rows(64), 8, seed=0)
    later = batches(feed, 5)
    batches(feed, 1)
    np.testing.assert_array_equal(batches(feed, 5), later)
    # an endless pass comes to the same batches as one that starts there
    *_, (d, _, count) = feed.epochs(first=4).take(2 * feed.chunks)
    np.testing.assert_array_equal(d[:count], later[:, 0])
    np.testing.assert_array_equal(batches(PairedBatches(rows(64), 8, seed=0), 5), later)
    np.testing.assert_array_equal(batches(PairedBatches(rows(64), 8, seed=0, chunk=3), 5), later)
    assert not np.array_equal(batches(PairedBatches(rows(64), 8, seed=1), 5), later)


@pytest.mark.parametrize("n", [8, 50, 2000])
def test_chunks_have_one_shape_for_tables_of_all_lengths(n):
    feed = PairedBatches(rows(n), 8)
    counts = []
    for d, g, count in feed.epochs().take(feed.chunks):
        assert d.shape == g.shape == (100, 8, 1)
        counts.append(int(count))
    assert sum(counts) == feed.steps and counts[:-1] == [100] * (len(counts) - 1)


def test_bad_data_is_refused():
    with pytest.raises(ValueError, match=r"received batch_size=9 for 8 training rows"):
        PairedBatches(rows(8), 9)
    with pytest.raises(ValueError, match=r"shape \(0, 3\); expected .* N > 0"):
        PairedBatches(np.zeros((0, 3)), 1)
    bad = rows(8)
    bad[5] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 8 rows, first in row 5"):
        PairedBatches(bad, 2)
