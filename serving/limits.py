"""Limits and defaults that both protocols share."""

from __future__ import annotations

MAX_REQUEST_BYTES = 16 * 2**20
"""Largest request, gRPC and REST; larger ones are RESOURCE_EXHAUSTED or HTTP 413."""

MAX_TENSOR_ELEMENTS = 4 * 2**20
"""Largest input tensor. A few bytes can declare a shape of terabytes."""

DEFAULT_MAX_BATCH_ROWS = 1024
"""Most rows of a request by default: memory grows with rows times items."""

REST_TIMEOUT_SECONDS = 30.0
"""Longest time of a REST request, as in TF Serving."""

MAX_WARMUP_RECORDS = 1000
"""More are a load error, as in TF Serving."""

DEFAULT_SIGNATURE = "serving_default"

MAX_REST_CONNECTIONS = 4096
"""Connections of the REST port at a time; more are closed."""

MAX_BODIES_BYTES = 16 * MAX_REQUEST_BYTES
"""Bodies of REST requests that are held at a time."""

RELOAD_SECONDS = 60.0
"""How long HandleReloadConfigRequest waits for what it asks for."""
