"""Small requests that arrive together are scored together: one call of the model for all."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

SMALL_BYTES = 32 * 2**10  # of a request that shares its call with others
MOST = 256  # records of such a call, unless one request has more


class Together:
    """Scores requests in turn; those that come meanwhile share the next call.

    Nobody waits for others to come: a request that finds the model idle is scored at once.

    Args:
        model: `alad_tf.export.serving.model.ServedModel`.
    """

    def __init__(self, model):
        self.model = model
        self._waiting, self._lock, self._busy = [], threading.Lock(), False
        self._pool = ThreadPoolExecutor(1, "together")

    def submit(self, signature, arrays):
        """Answers to a request's arrays, which `ServedModel.checked` gave: a `Future`."""
        asked = _Asked(signature, arrays, len(next(iter(arrays.values()))), Future())
        with self._lock:
            self._waiting.append(asked)
            if not self._busy:
                self._busy = True
                self._pool.submit(self._work)
        return asked.future

    def _work(self):
        while True:
            with self._lock:
                batch = self._next()
                if not batch:
                    self._busy = False
                    return
            self._answer(batch)

    def _next(self):
        """Those that wait for the first one's signature, up to `MOST` records."""
        taken, left, count = [], [], 0
        for asked in self._waiting:
            fits = not taken or count + asked.count <= MOST
            if fits and asked.signature == self._waiting[0].signature:
                taken.append(asked)
                count += asked.count
            else:
                left.append(asked)
        self._waiting = left
        return taken

    def _answer(self, batch):
        batch = [asked for asked in batch if asked.is_wanted()]
        if not batch:
            return
        try:
            arrays = {
                name: np.concatenate([asked.arrays[name] for asked in batch])
                for name in batch[0].arrays
            }
            found = self.model.answers(batch[0].signature, arrays)
        except ValueError as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:  # a bad record must not fail other requests
                for asked in batch:
                    self._answer([asked])
            return
        except BaseException as error:
            for asked in batch:
                asked.future.set_exception(error)
            return
        start = 0
        for asked in batch:
            part = slice(start, start + asked.count)
            asked.future.set_result({name: values[part] for name, values in found.items()})
            start += asked.count


class _Asked:
    def __init__(self, signature, arrays, count, future):
        self.signature, self.arrays, self.count, self.future = signature, arrays, count, future

    def is_wanted(self):
        """Whether the client still waits; from now on the request cannot be cancelled."""
        return self.future.running() or self.future.set_running_or_notify_cancel()
