"""TLS, mutual TLS, tokens; and that a server only reads."""

import contextlib
import ctypes
import datetime
import os
import struct
import threading
import time

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving import client, config_files, limits
from serving.client import channel
from serving.flags import parse_args
from serving.frontends.admission import Admission
from serving.status import StatusError
from tests.serving import inside
from tests.serving.export_requests import HISTORY, predict_request, status_of

TOKEN = "a-token-of-some-length"


class Authority:
    """Signs certificates, as PEM."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem, _ = self.sign("authority", self._key, is_authority=True)

    def sign(self, name, key=None, is_authority=False):
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        now = datetime.datetime.now(datetime.UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName("localhost")]), False
            )
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return built.public_bytes(serialization.Encoding.PEM), private


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def folder(served_export, tmp_path_factory):
    folder = tmp_path_factory.mktemp("security")
    inside.link_versions(served_export.version, folder / "demo", 1)
    (folder / "tokens").write_text(f"another-valid-token-1\n{TOKEN}\n")
    return folder


def ssl_config(folder, authority, **more):
    cert, key = authority.sign("server")
    fields = {"server_key": key.decode(), "server_cert": cert.decode(), **more}
    lines = [
        f"{name}: {str(value).lower()}"
        if isinstance(value, bool)
        else f"{name}: {value!r}"
        for name, value in fields.items()
    ]
    path = folder / "ssl.config"
    path.write_text("\n".join(lines))
    return path


def serving(folder, *flags):
    common = ("--model_name", "demo", "--model_base_path", folder / "demo")
    return inside.server(*common, *flags)


def ask(server, security):
    port = server.grpc_address.rsplit(":", 1)[1]
    with client.Client(f"localhost:{port}", "demo", 20, security) as asking:
        return asking.recommend(["item-3"], 2).items


def test_tls_alone(folder, authority):
    path = ssl_config(folder, authority)
    with serving(folder, "--ssl_config_file", path) as server:
        assert len(ask(server, channel.Security(authority.pem))) == 2
        for wrong in (None, channel.Security(Authority().pem)):
            with pytest.raises(client.QueryError, match="UNAVAILABLE"):
                ask(server, wrong)


def test_alts_is_not_replaced_by_a_port_in_clear(folder):
    """It needs Google Cloud: elsewhere the server ends."""
    with pytest.raises(StatusError, match=r"cannot listen on .* \(gRPC\)"):
        with serving(folder, "--use_alts_credentials=true"):
            pass


def test_mutual_tls_with_a_token(folder, authority):
    path = ssl_config(
        folder, authority, custom_ca=authority.pem.decode(), client_verify=True
    )
    cert, key = authority.sign("client")
    flags = ("--ssl_config_file", path, "--token_file", folder / "tokens")
    with serving(folder, *flags) as server:
        known = channel.Security(authority.pem, cert, key, TOKEN)
        assert len(ask(server, known)) == 2
        with pytest.raises(client.QueryError, match="UNAUTHENTICATED"):
            ask(server, channel.Security(authority.pem, cert, key, "x" * 20))
        strangers = [
            channel.Security(authority.pem, token=TOKEN),
            channel.Security(authority.pem, *Authority().sign("client"), TOKEN),
        ]
        for stranger in strangers:
            with pytest.raises(client.QueryError, match="UNAVAILABLE"):
                ask(server, stranger)


def test_token_is_asked_for_on_both_ports(folder):
    flags = ("--token_file", folder / "tokens", "--enable_grpc_healthcheck_service")
    with serving(folder, *flags) as server:
        request = predict_request(history=[HISTORY])
        call = server.prediction.Predict
        for metadata in (
            None,
            [("authorization", "Bearer nope")],
            [("authorization", TOKEN)],
            [("authorization", f"Bearer {TOKEN}x")],
        ):
            received = status_of(
                lambda m=metadata: call(request, timeout=20, metadata=m)
            )
            assert received[0].name == "UNAUTHENTICATED"
            assert TOKEN not in received[1]
        twice = [("authorization", f"Bearer {TOKEN}")] * 2
        refused = status_of(lambda: call(request, timeout=20, metadata=twice))
        assert refused[0].name == "UNAUTHENTICATED"
        good = [("authorization", f"Bearer {TOKEN}")]
        assert call(request, timeout=20, metadata=good).outputs
        path = "/v1/models/demo:predict"
        body = {"instances": [HISTORY]}
        assert server.http("POST", path, body)[0] == 401
        assert server.http("GET", "/v1/models/demo")[0] == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert server.http("POST", path, body, headers)[0] == 200
        # A probe has no token.
        check = health_pb2_grpc.HealthStub(server.channel).Check
        assert check(health_pb2.HealthCheckRequest(), timeout=20).status == 1


def is_allowed(admission, *headers):
    try:
        admission.authorize(headers)
    except StatusError as error:
        assert error.code is grpc.StatusCode.UNAUTHENTICATED
        return False
    return True


def test_tokens_are_compared_whole():
    tokens = Admission(1, 1, [TOKEN])
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert is_allowed(tokens, f"{scheme} {TOKEN}")
    wrong = ("", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", "Bearer é\udc80")
    assert not any(is_allowed(tokens, value) for value in wrong)
    assert not is_allowed(tokens)
    assert not is_allowed(tokens, f"Bearer {TOKEN}", f"Bearer {TOKEN}")
    assert is_allowed(Admission(1, 1))


@pytest.mark.parametrize(
    ("text", "reader", "reason"),
    [
        ("short", config_files.read_tokens, "16 or more"),
        ("", config_files.read_tokens, "16 or more"),
        ("a token with spaces in it", config_files.read_tokens, "no spaces"),
        ("server_key: 'k'", config_files.read_ssl, "server_cert are needed"),
        (
            "server_key: 'k' server_cert: 'c' client_verify: true",
            config_files.read_ssl,
            "needs custom_ca",
        ),
        ("nothing_known: 1", config_files.read_ssl, "nothing_known"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, reader, reason):
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(StatusError, match=reason) as caught:
        reader(path)
    assert str(path) in str(caught.value)


def test_a_broken_ssl_config_shows_no_key(tmp_path):
    path = tmp_path / "ssl.config"
    path.write_text('server_key: "-----BEGIN PRIVATE KEY----- secret\n')
    with pytest.raises(StatusError) as caught:
        config_files.read_ssl(path)
    assert "secret" not in str(caught.value)


def test_the_server_listens_on_loopback_unless_told():
    args = parse_args(["--model_name", "x", "--model_base_path", "/"])
    assert args.host == "127.0.0.1"


WRITES = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200
"""inotify: modified, attributes, closed after writing, moved, created, deleted."""


class WriteWatch:
    """Files below a folder that the kernel saw written, created or opened to write."""

    def __init__(self, root) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._descriptor >= 0
        for folder, _, _ in os.walk(root, followlinks=True):
            watch = self._libc.inotify_add_watch(
                self._descriptor, os.fsencode(folder), WRITES
            )
            assert watch >= 0

    def events(self):
        """Masks and names of all events so far."""
        found = []
        while True:
            try:
                data = os.read(self._descriptor, 2**16)
            except BlockingIOError:
                return found
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                found.append((mask, data[16 : 16 + length].rstrip(b"\0").decode()))
                data = data[16 + length :]


def test_nothing_below_the_model_base_is_written(served_export, tmp_path):
    import shutil

    shutil.copytree(served_export.export_dir, tmp_path / "demo")
    watch = WriteWatch(tmp_path)
    with serving(tmp_path) as server:
        for _ in range(3):
            server.prediction.Predict(predict_request(history=[HISTORY]), timeout=20)
        server.http("POST", "/v1/models/demo:predict", {"instances": [HISTORY]})
        assert server.http("GET", "/v1/models/demo")[0] == 200
    assert watch.events() == []
    # The watch sees a file that is only opened for writing.
    (tmp_path / "demo" / "1" / "saved_model.pb").open("ab").close()
    assert [name for _, name in watch.events()] == ["saved_model.pb"]


def test_grpc_connections_have_a_bound(folder, monkeypatch):
    import socket

    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 4)
    with serving(folder) as server, contextlib.ExitStack() as stack:
        host, port = server.grpc_address.split(":")

        def connected():
            connection = socket.create_connection((host, int(port)), timeout=10)
            return stack.enter_context(contextlib.closing(connection))

        # gRPC greets by its settings; beyond the bound it closes.
        crowd = [connected() for _ in range(4)]
        assert all(connection.recv(1000) for connection in crowd)
        with contextlib.suppress(ConnectionResetError):
            assert connected().recv(1000) == b""
        crowd.pop().close()
        time.sleep(1)
        request = predict_request(history=[HISTORY])
        assert server.prediction.Predict(request, timeout=20, wait_for_ready=True)


def test_a_crowd_of_idle_connections(folder):
    """A thousand on each port; a request is answered all the same."""
    import resource
    import socket

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    crowd = []
    try:
        with serving(folder) as server:
            for address in (server.grpc_address, server.rest_address):
                host, port = address.split(":")
                for _ in range(1000):
                    connection = socket.create_connection((host, int(port)), timeout=30)
                    crowd.append(connection)
            start = time.monotonic()
            server.prediction.Predict(predict_request(history=[HISTORY]), timeout=20)
            body = {"instances": [HISTORY]}
            assert server.http("POST", "/v1/models/demo:predict", body)[0] == 200
            assert time.monotonic() - start < 2
            assert threading.active_count() < 1200
            for connection in crowd:
                connection.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
