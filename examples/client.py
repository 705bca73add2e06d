"""A typed client of a served detector, over REST or gRPC: TensorFlow Serving or `alad serve`.

    python examples/client.py rest http://localhost:8501 breast_cancer_alad rows.csv
    python examples/client.py grpc localhost:8500 breast_cancer_alad rows.csv

It needs none of the detector's packages: `requests` for REST, `grpcio`, `tensorflow` and
`tensorflow-serving-api` for gRPC.
"""

import csv
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The server's answer for one record.

    Attributes:
        score: float, higher is more anomalous.
        p_value: float, probability that a normal record scores at least as high; None if the
            model has none.
        is_anomaly: bool, whether the record is flagged; None if the model has none.
    """

    score: float
    p_value: float | None = None
    is_anomaly: bool | None = None


class RefusedError(ValueError):
    """The server refused the request; the text says why."""


class RestClient:
    """Asks over HTTP.

    Args:
        address: str, "http://host:8501".
        model: str, the model's name.
        version: int, or None for the server's choice.
        timeout_s: float, for an answer.
    """

    def __init__(self, address, model, version=None, timeout_s=30.0):
        import requests

        self._session = requests.Session()
        versions = "" if version is None else f"/versions/{version}"
        self._url = f"{address.rstrip('/')}/v1/models/{model}{versions}"
        self._timeout_s = timeout_s

    def predict(self, records: list) -> list[Verdict]:
        """Verdicts of records.

        Args:
            records: list of dicts by column, or of lists of numbers, or of images as nested lists.

        Raises:
            RefusedError: the server refuses the records.
            requests.RequestException: it does not answer.
        """
        body = {"instances": records}
        answer = self._session.post(f"{self._url}:predict", json=body, timeout=self._timeout_s)
        if answer.status_code >= 400:
            raise RefusedError(_error(answer))
        return [
            Verdict(**one) if isinstance(one, dict) else Verdict(one)
            for one in answer.json()["predictions"]
        ]


class GrpcClient:
    """Asks over gRPC.

    Args:
        address: str, "host:8500".
        model: str, the model's name.
        version: int, or None for the server's choice.
        timeout_s: float, for an answer.
    """

    def __init__(self, address, model, version=None, timeout_s=30.0):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
            grpc.insecure_channel(address)
        )
        self._model, self._version, self._timeout_s = model, version, timeout_s

    def predict(self, columns: dict) -> list[Verdict]:
        """Verdicts of records.

        Args:
            columns: dict by input of arrays (N, ...): a table's columns, or "x", or "images".

        Raises:
            RefusedError: the server refuses the records.
            grpc.RpcError: it does not answer.
        """
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        if self._version is not None:
            request.model_spec.version.value = self._version
        for name, values in columns.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        try:
            answer = self._stub.Predict(request, timeout=self._timeout_s)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                raise RefusedError(error.details()) from None
            raise
        found = {name: tf.make_ndarray(proto).tolist() for name, proto in answer.outputs.items()}
        rows = zip(*found.values(), strict=True)
        return [Verdict(**dict(zip(found, row, strict=True))) for row in rows]


def _error(answer):
    try:
        return answer.json()["error"]
    except (ValueError, KeyError):
        return f"status {answer.status_code}: {answer.text[:200]}"


def main(way, address, model, path):
    """Ask for the rows of a CSV file without text, and print their verdicts."""
    with open(path, newline="") as file:
        rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
    if way == "rest":
        verdicts = RestClient(address, model).predict(rows)
    else:
        import numpy as np

        verdicts = GrpcClient(address, model).predict({"x": np.array(rows, "float32")})
    for number, verdict in enumerate(verdicts):
        print(number, verdict)


if __name__ == "__main__":
    main(*sys.argv[1:])
