"""HTTP by raw sockets: requests as texts, answers as they come."""

import contextlib
import http.client
import json
import re
import socket

from tests.serving.export_requests import HISTORY

MODEL = "/v1/models/demo"
PREDICT = f"POST {MODEL}:predict HTTP/1.1\r\n"
HOST = "Host: a.test\r\n"
BODY = json.dumps({"instances": [HISTORY]})
LENGTH = f"Content-Length: {len(BODY)}\r\n"
STATUS = f"GET {MODEL} HTTP/1.1\r\n{HOST}"
TOKEN = "a-token-of-some-length"


def connected(server):
    host, port = server.rest_address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def exchange(server, data, quiet=0.7):
    """The response, and whether the server has ended the connection."""
    data = data.encode("latin-1") if isinstance(data, str) else data
    received = b""
    with connected(server) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        connection.settimeout(quiet)
        try:
            while chunk := connection.recv(2**16):
                received += chunk
        except TimeoutError:
            return received.decode(), False
        except ConnectionError:
            pass
    return received.decode(), True


def statuses(text):
    return [int(found) for found in re.findall(r"HTTP/[12]\.[01] (\d+) ", text)]


def ask(server, method, path, body=None, **headers):
    host, port = server.rest_address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    with contextlib.closing(connection):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        response = connection.getresponse()
        return response, response.read()
