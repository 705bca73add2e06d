"""TensorFlow Serving's REST routes over one exported model."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from alad_tf.export.serving.json_request import read_request
from alad_tf.export.serving.model import AT_ONCE, BLOCK, BLOCK_VALUES, RequestError, UnknownError
from alad_tf.export.serving.together import SMALL_BYTES

MOST_BYTES = 32 * 2**20  # of a request's body
BODY_S = 30  # for a body to arrive
BODIES = 8  # bodies of the largest size that may be in memory at a time

# curl and urllib send a form's type unless they are asked not to
CONTENT_TYPES = ("application/json", "application/x-www-form-urlencoded", "text/plain", "")


class HttpError(RequestError):
    """A request that is refused with a status of its own."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


def error_response(status, text, headers=None):
    """An error as TensorFlow Serving gives it; text that is not valid Unicode is escaped."""
    body = json.dumps({"error": text})
    return Response(body, status, headers, media_type="application/json")


def rest_app(model, most_bytes=MOST_BYTES):
    """A Starlette application.

    - `POST /v1/models/NAME[/versions/N]:predict`: `{"instances": [...]}`, answered by
      `{"predictions": [...]}`, or `{"inputs": {...}}`, answered by `{"outputs": {...}}`; with
      `"signature_name"`. Bytes are `{"b64": "..."}`, gaps in columns of numbers null.
    - `GET /v1/models/NAME[/versions/N]`: the model's status.
    - `GET /v1/models/NAME/metadata`: signatures and the export's own metadata.
    - `GET /healthz`: "ok".

    Errors are `{"error": "..."}` with status 400 (a bad request), 404 (another model, version,
    signature or route), 405 (another method), 408 (a body that came too slowly), 413 (too large),
    415 (not JSON) or 503 (too busy, or stopping).

    Args:
        model: `alad_tf.export.serving.model.ServedModel`.
        most_bytes: int, the largest body that is read.

    Returns:
        `starlette.applications.Starlette`.
    """
    held = 0  # bytes of bodies in memory
    pool = ThreadPoolExecutor(AT_ONCE)  # computing takes time; other requests continue meanwhile

    async def predict(request):
        nonlocal held
        _check(model, request.path_params)
        _check_headers(request.headers, most_bytes)
        body, abandoned = bytearray(), threading.Event()
        try:
            await receive(request, body)
            if len(body) <= SMALL_BYTES:
                return await small(body)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(pool, _answer, model, body, abandoned)
        except asyncio.CancelledError as error:
            raise HttpError(503, "The server is stopping; the request was abandoned.") from error
        finally:
            abandoned.set()
            held -= len(body)

    async def small(body):
        # read and answered here: to hand it to a thread takes longer than to read it
        signature, inputs, by_row = read_request(body, model.inputs)
        arrays = model.checked(signature, inputs)
        found = await asyncio.wrap_future(model.together.submit(signature, arrays))
        return _response(found, by_row)

    async def receive(request, body):
        nonlocal held
        try:
            async with asyncio.timeout(BODY_S):
                async for part in request.stream():
                    body += part
                    held += len(part)
                    if len(body) > most_bytes:
                        raise _too_large(most_bytes)
                    if held > BODIES * most_bytes:
                        raise HttpError(503, "The server is busy with other requests. Try again.")
        except TimeoutError as error:
            raise HttpError(408, f"The body took longer than {BODY_S} seconds.") from error

    async def status(request):
        _check(model, request.path_params)
        state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        return _json({"model_version_status": [{"version": str(model.version), **state}]})

    async def metadata(request):
        _check(model, request.path_params)
        return _json(
            {
                "model_spec": {"name": model.name, "version": str(model.version)},
                "metadata": {"signatures": _signatures(model), "export": model.metadata()},
            }
        )

    async def health(request):
        return _json({"status": "ok"})

    base = "/v1/models/{name:str}"
    versioned = base + "/versions/{version:str}"
    routes = [Route("/healthz", health)]
    for path in (versioned, base):
        routes += [
            Route(path + "/metadata", metadata),
            Route(path + ":predict", predict, methods=["POST"]),
            Route(path, status),
        ]
    handlers = {
        RequestError: _refuse,
        HTTPException: _refuse_route,
        ClientDisconnect: _refuse,
        Exception: _fail,
    }
    return Starlette(routes=routes, exception_handlers=handlers)


def _answer(model, body, abandoned):
    with model.turns:
        signature, inputs, by_row = read_request(body, model.inputs)
        found = model.predict(signature, inputs, wanted=lambda: not abandoned.is_set())
    return _response(found, by_row)


def _response(found, by_row):
    texts = _predictions(found) if by_row else _outputs(found)
    values = sum(column.size for column in found.values())
    if values > BLOCK:  # sent while it is encoded
        return StreamingResponse(texts, media_type="application/json")
    return Response("".join(texts), media_type="application/json")


def _predictions(found):
    """JSON by rows, in pieces."""
    opening = '{"predictions": ['
    for block in _blocks(found):
        columns = {name: _plain(values) for name, values in block.items()}
        if len(columns) == 1:
            (rows,) = columns.values()
        else:
            rows = [
                dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
            ]
        yield opening + json.dumps(rows)[1:-1]
        opening = ", "
    yield "]}"


def _outputs(found):
    """JSON by columns, in pieces."""
    opening = '{"outputs": ' + ("{" if len(found) > 1 else "")
    for name, values in found.items():
        opening += f"{json.dumps(name)}: [" if len(found) > 1 else "["
        for block in _blocks({name: values}):
            yield opening + json.dumps(_plain(block[name]))[1:-1]
            opening = ", "
        opening = "], "
    yield "]}}" if len(found) > 1 else "]}"


def _blocks(found):
    count = len(next(iter(found.values())))
    widest = max(values.size // count for values in found.values())
    step = max(1, min(BLOCK, BLOCK_VALUES // widest))
    for start in range(0, count, step):
        yield {name: values[start : start + step] for name, values in found.items()}


def _json(value):
    return Response(json.dumps(value), media_type="application/json")


def _plain(values):
    """An array as JSON: float32 as the shortest decimal that reads back as the same float32."""
    if values.dtype == np.float32:
        shortest = np.array([float(str(one)) for one in values.ravel()])
        return shortest.reshape(values.shape).tolist()
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
    version = asked.get("version", str(model.version))
    if asked["name"] != model.name or version.lstrip("0") != str(model.version).lstrip("0"):
        raise UnknownError(
            f"Model {asked['name'][:100]!r}, version {version[:20]}, is not served; "
            f"{model.name!r}, version {model.version}, is."
        )


def _check_headers(headers, most_bytes):
    """Refuse a body before it is read: its declared length or type will not do."""
    if int(headers.get("content-length", 0)) > most_bytes:  # a number: h11 checks it
        raise _too_large(most_bytes)
    kind, _, parameters = headers.get("content-type", "").lower().partition(";")
    kind, charset = kind.strip(), parameters.partition("charset=")[2].strip(' "')
    if kind not in CONTENT_TYPES or charset not in ("", "utf-8", "utf8", "us-ascii"):
        kind = headers["content-type"][:100]
        raise HttpError(
            415, f"The body has the content type {kind!r}; expected application/json in UTF-8."
        )
    coding = headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise HttpError(
            415, f"The body has the content encoding {coding[:100]!r}. Send it without one."
        )


def _too_large(most_bytes):
    message = f"The body is larger than {most_bytes:,} bytes. Send fewer records at a time."
    return HttpError(413, message)


async def _refuse(request, error):
    status = 404 if isinstance(error, UnknownError) else getattr(error, "status", 400)
    # the rest of the body is not waited for
    return error_response(
        status, str(error), {"connection": "close"} if status in (408, 503) else None
    )


async def _refuse_route(request, error):
    text = f"{request.method} {request.url.path[:200]}: {error.detail}."
    return error_response(error.status_code, text, error.headers)


async def _fail(request, error):
    return error_response(500, "The server failed to answer; its log says why.")
