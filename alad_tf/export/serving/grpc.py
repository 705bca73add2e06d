"""TensorFlow Serving's gRPC services, PredictionService and ModelService, over one model."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from alad_tf.export.serving.model import DEFAULT, RequestError, UnknownError

THREADS = 8


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`Predict` and `GetModelMetadata`.

    Args:
        model: `alad_tf.export.serving.model.ServedModel`.
    """

    def __init__(self, model):
        self.model = model

    def Predict(self, request, context):
        _check(self.model, request.model_spec, context)
        signature = request.model_spec.signature_name or DEFAULT
        try:
            inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
            found = self.model.predict(signature, inputs)
        except RequestError as error:
            unknown = isinstance(error, UnknownError)
            code = grpc.StatusCode.NOT_FOUND if unknown else grpc.StatusCode.INVALID_ARGUMENT
            context.abort(code, str(error))
        except (TypeError, ValueError) as error:  # a tensor's parts that do not fit together
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"An input is damaged: {error}")
        answer = predict_pb2.PredictResponse()
        _describe(self.model, answer.model_spec, signature)
        for name, value in found.items():
            if not request.output_filter or name in request.output_filter:
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def GetModelMetadata(self, request, context):
        _check(self.model, request.model_spec, context)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        _describe(self.model, answer.model_spec, "")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, function in self.model.signatures.items():
            made = signatures.signature_def[name]
            made.method_name = "tensorflow/serving/predict"
            sides = (
                (made.inputs, self.model.inputs(name)),
                (made.outputs, function.structured_outputs),
            )
            for side, specs in sides:
                for key, spec in specs.items():
                    side[key].dtype = spec.dtype.as_datatype_enum
                    side[key].tensor_shape.CopyFrom(spec.shape.as_proto())
        answer.metadata["signature_def"].Pack(signatures)
        return answer


class Status(model_service_pb2_grpc.ModelServiceServicer):
    """`GetModelStatus`."""

    def __init__(self, model):
        self.model = model

    def GetModelStatus(self, request, context):
        _check(self.model, request.model_spec, context)
        answer = get_model_status_pb2.GetModelStatusResponse()
        state = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        answer.model_version_status.add(version=self.model.version, state=state)
        return answer


def grpc_server(model, address, most_bytes):
    """A gRPC server, started.

    Args:
        model: `alad_tf.export.serving.model.ServedModel`.
        address: str, "host:port"; port 0 takes a free one.
        most_bytes: int, the greatest message that is read.

    Returns:
        `(server, port)`.

    Raises:
        OSError: the port is taken.
    """
    server = grpc.server(
        ThreadPoolExecutor(THREADS), options=[("grpc.max_receive_message_length", most_bytes)]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(model), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(model), server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be listened at: it is taken, or not allowed.") from error
    server.start()
    return server, port


def _check(model, spec, context):
    version = spec.version.value if spec.HasField("version") else model.version
    if spec.name != model.name or version != model.version:
        told = f"Model {spec.name!r}, version {version}, is not served; {model.name!r} is."
        context.abort(grpc.StatusCode.NOT_FOUND, told)


def _describe(model, spec, signature):
    spec.name, spec.signature_name = model.name, signature
    spec.version.value = model.version
