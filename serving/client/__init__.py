"""The client: imports gRPC and protobuf, which takes a fraction of a second."""

from serving.client.channel import Security as Security
from serving.client.client import PREDICT as PREDICT
from serving.client.client import Client as Client
from serving.client.messages import Explanation as Explanation
from serving.client.messages import QueryError as QueryError
from serving.client.messages import Recommendations as Recommendations
