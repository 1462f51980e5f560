"""Limits and defaults that both protocols share."""

MAX_REQUEST_BYTES = 16 * 2**20
"""Largest request; a larger one is RESOURCE_EXHAUSTED or HTTP 413."""
MAX_TENSOR_ELEMENTS = 4 * 2**20
"""Largest input tensor. A few bytes can declare a shape of terabytes."""
DEFAULT_MAX_BATCH_ROWS = 1024
"""Most rows of a request by default: memory grows with rows times items."""
MAX_WARMUP_RECORDS = 1000
"""More are a load error, as in TF Serving."""
MAX_CONNECTIONS = 4096
"""Connections of each port; further ones are closed."""
MAX_BODIES_BYTES = 16 * MAX_REQUEST_BYTES
"""REST bodies in memory at a time."""
RELOAD_SECONDS = 60.0
"""Longest wait of HandleReloadConfigRequest."""
DEFAULT_SIGNATURE = "serving_default"
