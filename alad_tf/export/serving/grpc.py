"""TensorFlow Serving's gRPC services, PredictionService and ModelService, over one model."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from alad_tf.export.serving.model import DEFAULT, RequestError, UnknownError
from alad_tf.export.serving.together import SMALL_BYTES

THREADS = 32  # calls at a time
MESSAGE_S = 30  # for a call's message to arrive
IDLE_S = 60  # that a connection without calls stays open

# fields of a TensorProto that holds its values one by one, by its data type
_VALUES = {
    tf.float16: "half_val",
    tf.bfloat16: "half_val",
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.bool: "bool_val",
    tf.int8: "int_val",
    tf.int16: "int_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.uint8: "int_val",
    tf.uint16: "int_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.string: "string_val",
}
_STRING_BYTES = 24  # of a string beside its content, in TensorFlow's memory


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`Predict` and `GetModelMetadata`.

    Args:
        model: `alad_tf.export.serving.model.ServedModel`.
        most_bytes: int, the largest tensor that is read.
    """

    def __init__(self, model, most_bytes):
        self.model, self.most_bytes = model, most_bytes

    def Predict(self, request, context):
        _check(self.model, request.model_spec, context)
        signature = request.model_spec.signature_name or DEFAULT
        try:
            if request.ByteSize() <= SMALL_BYTES:
                arrays = self._arrays(signature, request)
                found = self.model.together.submit(signature, arrays).result()
            else:
                with self.model.turns:
                    arrays = self._arrays(signature, request)
                    found = self.model.answers(signature, arrays, wanted=context.is_active)
        except RequestError as error:
            unknown = isinstance(error, UnknownError)
            code = grpc.StatusCode.NOT_FOUND if unknown else grpc.StatusCode.INVALID_ARGUMENT
            context.abort(code, str(error))
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

    def _arrays(self, signature, request):
        specs = self.model.inputs(signature)
        inputs = {
            name: _array(name, proto, self.most_bytes) if name in specs else None
            for name, proto in request.inputs.items()
        }
        return self.model.checked(signature, inputs)


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


class _MessageInTime(grpc.ServerInterceptor):
    """Cancels a call whose message does not arrive, which would hold a thread forever."""

    def intercept_service(self, continuation, handler_call_details):
        handler = continuation(handler_call_details)
        if handler is None:
            return None

        def answer(messages, context):  # on the wire, a stream of one message is that message
            timer = threading.Timer(MESSAGE_S, context.cancel)
            timer.start()
            try:
                request = next(messages, None)
            finally:
                timer.cancel()
            if request is None:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The call has no message.")
            return handler.unary_unary(request, context)

        return grpc.stream_unary_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )


def grpc_server(model, host, port, most_bytes):
    """A gRPC server, started.

    Args:
        model: `alad_tf.export.serving.model.ServedModel`.
        host: str, a numeric address; in brackets for IPv6.
        port: int; 0: any free port.
        most_bytes: int, the largest message, and the largest tensor, that is read.

    Returns:
        `(server, port)`.

    Raises:
        OSError: if the port is in use, or not allowed.
    """
    server = grpc.server(
        ThreadPoolExecutor(THREADS),
        interceptors=[_MessageInTime()],
        maximum_concurrent_rpcs=THREADS,
        options=[
            ("grpc.so_reuseport", 0),  # else two servers share a port, and either one answers
            ("grpc.max_receive_message_length", most_bytes),
            ("grpc.max_connection_idle_ms", IDLE_S * 1000),
            ("grpc.keepalive_time_ms", IDLE_S * 1000),  # notices peers that are gone
            ("grpc.server_handshake_timeout_ms", 10_000),
        ],
    )
    prediction = Prediction(model, most_bytes)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(model), server)
    try:
        port = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(
            f"The gRPC port {port} of {host} is in use or not allowed. Choose another one, "
            "or 0 for any free port."
        ) from error
    server.start()
    return server, port


def _array(name, proto, most_bytes):
    """A TensorProto as an array, its size checked before anything is allocated.

    `tf.make_ndarray` repeats the last value until the shape is full, whatever the shape is.
    """
    sides = [side.size for side in proto.tensor_shape.dim]
    try:
        dtype = tf.as_dtype(proto.dtype)
    except TypeError:
        dtype = None
    if dtype not in _VALUES:
        known = types_pb2.DataType.values()
        kind = types_pb2.DataType.Name(proto.dtype) if proto.dtype in known else "unknown"
        raise RequestError(
            f"Input {name!r} has the data type {proto.dtype} ({kind}), which is not supported. Set "
            "the dtype that the signature has in the model's metadata."
        )
    if proto.tensor_shape.unknown_rank or min(sides, default=0) < 0 or len(sides) > 32:
        raise RequestError(f"Input {name!r} must have a shape; received {sides[:33]}.")
    size = _STRING_BYTES if dtype == tf.string else dtype.size
    held = len(getattr(proto, _VALUES[dtype]))
    if proto.tensor_content:
        if dtype == tf.string or len(proto.tensor_content) % size:
            raise RequestError(f"Input {name!r} has a tensor_content that is not {dtype.name}.")
        held = len(proto.tensor_content) // size
    count = math.prod(sides)
    if count != held:
        raise RequestError(
            f"Input {name!r} has the shape {sides}, which is {count:,} values; received {held:,}."
        )
    if count * size > most_bytes:
        raise RequestError(
            f"Input {name!r} takes more than {most_bytes:,} bytes. Send fewer records."
        )
    try:
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"Input {name!r} is damaged: {error}.") from error


def _check(model, spec, context):
    version = spec.version.value if spec.HasField("version") else model.version
    if spec.name != model.name or version != model.version:
        message = f"Model {spec.name[:100]!r}, version {version}, is not served; {model.name!r} is."
        context.abort(grpc.StatusCode.NOT_FOUND, message)


def _describe(model, spec, signature):
    spec.name, spec.signature_name = model.name, signature
    spec.version.value = model.version
