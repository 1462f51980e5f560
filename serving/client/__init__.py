"""The client: imports gRPC and protobuf, which takes a fraction of a second."""

from serving.client.channel import Security
from serving.client.client import PREDICT, Client, recommend
from serving.client.messages import Explanation, QueryError, Recommendations

__all__ = [
    "PREDICT",
    "Client",
    "Explanation",
    "QueryError",
    "Recommendations",
    "Security",
    "recommend",
]
