"""What config.json holds: checked by pydantic before anything is built or allocated from it.

Types and bounds are checked here. Whether parts fit together, such as weights and architecture, is
checked where they are built.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

MOST_VALUES = 2**28  # of one block of samples, in memory: 1 GiB
MOST_BLOCK = 2**16  # samples that are computed together
MOST_SIDE = 2**31 - 1  # TensorFlow's shapes have 32 bits in places

Size = Annotated[int, Field(ge=1, le=MOST_SIDE)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]


class _Part(BaseModel):
    # strict: no text is taken for a number. Keys that are not listed are left to the constructors.
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Layer(_Part):
    """One `alad_tf.model.specs.LayerSpec`."""

    op: str
    units: Annotated[int, Field(ge=0, le=MOST_SIDE)] = 0
    activation: str | None = None
    batch_norm: bool = False
    dropout: float = 0.0
    kernel: Annotated[int, Field(ge=0, le=MOST_SIDE)] = 0
    strides: Size = 1
    padding: Literal["same", "valid"] = "same"
    shape: list[Size] = []


class Scorer(_Part):
    """What a scorer or a baseline is built from: keys that several methods have."""

    networks: dict[str, list[Layer]] | None = None
    x_shape: Annotated[list[Size], Field(min_length=1, max_length=4)] | None = None
    latent_dim: Size | None = None
    pair_axis: Annotated[int, Field(ge=-3, le=3)] = -1
    slope: float = 0.2
    block: Annotated[int, Field(ge=1, le=MOST_BLOCK)] | None = None
    batch_size: Size | None = None
    epochs: Size | None = None
    seed: Seed | None = None
    # of an ensemble
    scorer: dict[str, Any] | None = None
    members: Size | None = None
    rows: Size | None = None

    @field_validator("x_shape")
    @classmethod
    def _fits(cls, shape):
        if shape and math.prod(shape) > MOST_VALUES:
            raise ValueError(f"a sample may have at most {MOST_VALUES:,} values")
        return shape

    @field_validator("scorer")
    @classmethod
    def _member(cls, config):
        return None if config is None else Alad.model_validate(config)


class Alad(Scorer):
    """What `alad_tf.model.scorer.Scorer` is built from."""

    networks: dict[str, list[Layer]]
    x_shape: Annotated[list[Size], Field(min_length=1, max_length=4)]
    latent_dim: Size


class Ensemble(Scorer):
    """What `alad_tf.detector.ensemble.Ensemble` is built from."""

    scorer: dict[str, Any]


class Patches(Scorer):
    """What `alad_tf.detector.patches.PatchScorer` is built from."""

    backbone: dict[str, Any]
    x_shape: Annotated[list[Size], Field(min_length=3, max_length=3)]
    rows: Annotated[list[Size], Field(min_length=2, max_length=2)]
    pictures: Size
    members: Annotated[int, Field(ge=0, le=MOST_BLOCK)] = 0


_SCORERS = {"alad": Alad, "alad_ensemble": Ensemble, "alad_patches": Patches}


class Baseline(_Part):
    """config.json of a baseline alone."""

    format: int
    method: str = "alad"  # the first presets lack it
    scorer: dict[str, Any]

    @field_validator("scorer")
    @classmethod
    def _of_method(cls, config, info):
        _SCORERS.get(info.data.get("method"), Scorer).model_validate(config)
        return config


class Preprocessor(_Part):
    """The state of a preprocessor: keys that several kinds have."""

    kind: str
    scaling: str = "none"
    shift: list[float] | None = None
    scale: list[float] | None = None
    vocabularies: dict[str, list] | None = None
    image_shape: Annotated[list[Size], Field(min_length=3, max_length=3)] | None = None


class Detector(Baseline):
    """config.json of a detector."""

    preprocessor: Preprocessor
    score: str
    threshold: float | None
    threshold_rule: str = "none"
    reference: list[float] = []
    metadata: dict[str, Any]
    training: dict[str, Any] | None = None


SCHEMAS = {"detector": Detector, "baseline": Baseline}


def check_config(config, what, path):
    """Raise ValueError, naming the file and the key, if a config is not one of `what`."""
    try:
        SCHEMAS[what].model_validate(config)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        received = repr(first["input"])
        received = received if len(received) <= 60 else f"{received[:59]}…"
        reason = first["msg"].removeprefix("Value error, ")
        raise ValueError(
            f"{path} does not describe a {what}: {key}: {reason[:1].lower()}{reason[1:]}; "
            f"received {received}. It is damaged or was edited. Copy or save it again."
        ) from error
