"""TensorFlow Serving's REST routes over one exported model."""

import json

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from alad_tf.export.serving.model import DEFAULT, RequestError, UnknownError, from_rows

MOST_BYTES = 32 * 2**20  # of a request's body


class TooLargeError(RequestError):
    """A body beyond the limit."""


def rest_app(model, most_bytes=MOST_BYTES):
    """A Starlette application.

    - `POST /v1/models/NAME[/versions/N]:predict`: `{"instances": [...]}`, answered by
      `{"predictions": [...]}`, or `{"inputs": {...}}`, answered by `{"outputs": {...}}`; with
      `"signature_name"`. Bytes are `{"b64": "..."}`.
    - `GET /v1/models/NAME[/versions/N]`: the model's status.
    - `GET /v1/models/NAME/metadata`: signatures and the export's own metadata.
    - `GET /healthz`: "ok".

    Errors are `{"error": "..."}` with status 400 (a bad request), 404 (another model, version or
    signature) or 413 (too large).

    Args:
        model: `alad_tf.export.serving.model.ServedModel`.
        most_bytes: int, the greatest body that is read.

    Returns:
        `starlette.applications.Starlette`.

    Source: TensorFlow Serving, "RESTful API".
    """

    async def predict(request):
        _check(model, request.path_params)
        body = await _body(request, most_bytes)
        # computing and encoding take their time; other requests go on meanwhile
        return JSONResponse(await run_in_threadpool(_answer, model, body))

    async def status(request):
        _check(model, request.path_params)
        state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return JSONResponse({"model_version_status": [{"version": str(model.version), **state}]})

    async def metadata(request):
        _check(model, request.path_params)
        return JSONResponse(
            {
                "model_spec": {"name": model.name, "version": str(model.version)},
                "metadata": {"signatures": _signatures(model), "export": model.metadata()},
            }
        )

    async def health(request):
        return JSONResponse({"status": "ok"})

    base = "/v1/models/{name:str}"
    versioned = base + "/versions/{version:int}"
    routes = [Route("/healthz", health)]
    for path in (versioned, base):
        routes += [
            Route(path + "/metadata", metadata),
            Route(path + ":predict", predict, methods=["POST"]),
            Route(path, status),
        ]
    return Starlette(routes=routes, exception_handlers={RequestError: _refuse})


def _answer(model, body):
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The body is not JSON: {error}.") from error
    if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
        raise RequestError("The body must be a JSON object with either 'instances' or 'inputs'.")
    signature = request.get("signature_name", DEFAULT)
    specs = model.inputs(signature)
    if "instances" in request:
        found = model.predict(signature, from_rows(request["instances"], specs))
        columns = {name: _plain(values) for name, values in found.items()}
        if len(columns) == 1:
            return {"predictions": next(iter(columns.values()))}
        rows = zip(*columns.values(), strict=True)
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}
    inputs = request["inputs"]
    if len(specs) == 1 and not isinstance(inputs, dict):
        inputs = {next(iter(specs)): inputs}
    if not isinstance(inputs, dict):
        raise RequestError(f"'inputs' must be an object with {sorted(specs)}.")
    found = {name: _plain(v) for name, v in model.predict(signature, inputs).items()}
    return {"outputs": next(iter(found.values())) if len(found) == 1 else found}


def _plain(values):
    """An array as JSON: float32 as the shortest decimal that reads back as the same float32."""
    if values.dtype == np.float32:
        return np.vectorize(lambda v: float(str(v)), otypes=[object])(values).tolist()
    return values.tolist()


def _signatures(model):
    def described(specs):
        return {
            name: {"dtype": spec.dtype.name, "shape": [side or -1 for side in spec.shape.as_list()]}
            for name, spec in sorted(specs.items())
        }

    return {
        name: {
            "inputs": described(model.inputs(name)),
            "outputs": described(function.structured_outputs),
        }
        for name, function in sorted(model.signatures.items())
    }


def _check(model, asked):
    """The route's model must be the one that is served."""
    version = asked.get("version", model.version)
    if asked["name"] != model.name or version != model.version:
        raise UnknownError(
            f"Model {asked['name']!r}, version {version}, is not served; {model.name!r}, version "
            f"{model.version}, is."
        )


async def _body(request, most_bytes):
    """The body, read no further than the limit."""
    told = f"The body is larger than {most_bytes:,} bytes. Send fewer records at a time."
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > most_bytes:
        raise TooLargeError(told)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise TooLargeError(told)
    return bytes(body)


async def _refuse(request, error):
    status = {UnknownError: 404, TooLargeError: 413}.get(type(error), 400)
    return JSONResponse({"error": str(error)}, status)
