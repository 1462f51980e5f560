"""HTTP as proxies, load balancers and attackers speak it, by raw sockets."""

import gzip
import json
import socket
import time

import pytest

from tests.serving.http.raw_http import (
    BODY,
    HOST,
    LENGTH,
    MODEL,
    PREDICT,
    STATUS,
    TOKEN,
    ask,
    connected,
    exchange,
    statuses,
)

HIDDEN = f"GET {MODEL}/versions/9 HTTP/1.1\r\n{HOST}\r\n"
BOTH = "Transfer-Encoding: chunked\r\n"
AMBIGUOUS = {
    "length and coding": f"{PREDICT}{HOST}{LENGTH}{BOTH}\r\n{BODY}",
    "coding and length": f"{PREDICT}{HOST}{BOTH}{LENGTH}\r\n{BODY}",
    "empty coding": f"{PREDICT}{HOST}Transfer-Encoding:\r\n{LENGTH}\r\n{BODY}",
    "empty, then chunked": f"{PREDICT}{HOST}Transfer-Encoding:\r\n{BOTH}\r\n0\r\n\r\n",
    "identity": f"{PREDICT}{HOST}Transfer-Encoding: identity\r\n{LENGTH}\r\n{BODY}",
    "coding of HTTP/1.0": f"POST {MODEL}:predict HTTP/1.0\r\n{BOTH}\r\n0\r\n\r\n",
    "two codings": f"{PREDICT}{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "blank before the colon": f"{PREDICT}{HOST}Content-Length : 1\r\n\r\n{BODY}",
    "two lengths": f"{PREDICT}{HOST}{LENGTH}Content-Length: 3\r\n\r\n{BODY}{HIDDEN}",
    "one length twice": f"{PREDICT}{HOST}{LENGTH}{LENGTH}\r\n{BODY}",
    "list of lengths": f"{PREDICT}{HOST}Content-Length: 9, 9\r\n\r\n{BODY}",
    "leading zero": f"{PREDICT}{HOST}Content-Length: 0{len(BODY)}\r\n\r\n{BODY}",
    "fragment": f"GET {MODEL}#part HTTP/1.1\r\n{HOST}\r\n",
    "blanks before the target": f"GET  {MODEL} HTTP/1.1\r\n{HOST}\r\n",
    "blanks after the target": f"GET {MODEL}  HTTP/1.1\r\n{HOST}\r\n",
    "many blanks": f"GET   {MODEL}    HTTP/1.1\r\n{HOST}\r\n",
    "tab before the target": f"GET\t{MODEL} HTTP/1.1\r\n{HOST}\r\n",
    "sign": f"{PREDICT}{HOST}Content-Length: +{len(BODY)}\r\n\r\n{BODY}",
    "negative": f"{PREDICT}{HOST}Content-Length: -1\r\n\r\n{BODY}",
    "hexadecimal": f"{PREDICT}{HOST}Content-Length: 0x9\r\n\r\n{BODY}",
    "folded": f"{PREDICT}{HOST}X: a\r\n Content-Length: 0\r\n{LENGTH}\r\n{BODY}",
    "line without colon": f"{PREDICT}{HOST}{LENGTH}none\r\n{BOTH}\r\n{BODY}",
    "line with a blank": f"{PREDICT}{HOST}Bad Name: 1\r\n{LENGTH}\r\n{BODY}",
    "bare CR": f"{PREDICT}{HOST}X: a\rContent-Length: 0\r\n{LENGTH}\r\n{BODY}",
    "bare LF": f"{PREDICT}{HOST}X: a\n{LENGTH}\r\n{BODY}",
    "NUL": f"{PREDICT}{HOST}X: a\0b\r\n{LENGTH}\r\n{BODY}",
    "no host": f"GET {MODEL} HTTP/1.1\r\n\r\n",
    "two hosts": f"GET {MODEL} HTTP/1.1\r\n{HOST}{HOST}\r\n",
    "HTTP/2.0": f"GET {MODEL} HTTP/2.0\r\n{HOST}\r\n",
    "HTTP/1.9": f"GET {MODEL} HTTP/1.9\r\n{HOST}\r\n",
    "TLS": "\x16\x03\x01\x02\0\x01\0\r\n\r\n",
    "chunk that is none": f"{STATUS}{BOTH}\r\n{HIDDEN}",
    "long line": f"GET {MODEL}?{'a' * 70_000} HTTP/1.1\r\n{HOST}\r\n",
    "long header": f"{STATUS}X: {'a' * 70_000}\r\n\r\n",
    "many headers": STATUS + "X: y\r\n" * 1000 + "\r\n",
    "large headers": STATUS + f"X: {'a' * 60_000}\r\n" * 90 + "\r\n",
}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_request_is_400_and_the_last(server, case):
    text, is_closed = exchange(server, AMBIGUOUS[case])
    assert statuses(text) == [400], text
    assert is_closed
    assert list(json.loads(text.partition("\r\n\r\n")[2])) == ["error"]
    assert "Connection: close" in text or not text.startswith("HTTP/1.1")


def test_blanks_in_a_later_request_line_are_seen_in_any_split(server):
    bad = f"GET {MODEL}  HTTP/1.1\r\n{HOST}\r\n".encode()
    text, is_closed = exchange(server, f"{STATUS}\r\n".encode() + bad)
    assert (statuses(text), is_closed) == ([200, 400], True)
    for position in range(1, len(bad) - len(HOST), 5):
        with connected(server) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in (bad[:position], bad[position:]):
                connection.sendall(part)
                time.sleep(0.02)
            assert statuses(connection.recv(1000).decode()) == [400], position


def test_blanks_in_a_body_or_a_header_are_no_request_line(server):
    body = BODY.replace("{", "{  \n  ", 1)
    head = f"{PREDICT}{HOST}X: GET  / HTTP/1.1\r\nContent-Length: {len(body)}\r\n"
    text, is_closed = exchange(server, f"{head}\r\n{body}{STATUS}\r\n", 2)
    assert (statuses(text), is_closed) == ([200, 200], False)


def test_no_bytes_of_another_request_are_quoted(server):
    text, _ = exchange(server, f"{STATUS}X: item-3\0\r\n\r\n")
    assert "item-3" not in text


@pytest.mark.parametrize("status", [200, 404])
def test_body_of_a_get_is_no_request(server, status):
    path = MODEL if status == 200 else "/v1/models/none"
    head = f"GET {path} HTTP/1.1\r\n{HOST}Content-Length: {len(HIDDEN)}\r\n\r\n"
    text, _ = exchange(server, head + HIDDEN)
    assert statuses(text) == [status]
    text, _ = exchange(server, head + HIDDEN + STATUS + "\r\n")
    assert statuses(text) == [status, 200]


def test_body_that_was_not_read_is_no_request_after_a_refusal(guarded):
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        head = f"{method} {MODEL}:predict HTTP/1.1\r\n{HOST}"
        for length in (len(HIDDEN), 10_000_000):
            text, is_closed = exchange(
                guarded, f"{head}Content-Length: {length}\r\n\r\n{HIDDEN}"
            )
            assert statuses(text) == [200 if method == "OPTIONS" else 401]
            assert is_closed or length == len(HIDDEN)


def test_requests_that_come_together_are_answered_in_order(server):
    predict = f"{PREDICT}{HOST}{LENGTH}\r\n{BODY}"
    text, is_closed = exchange(server, f"{STATUS}\r\n{predict}{HIDDEN}{STATUS}\r\n", 2)
    assert statuses(text) == [200, 200, 404, 200]
    assert not is_closed


def test_client_that_ends_its_side_is_answered(server):
    with connected(server) as connection:
        connection.sendall(f"{PREDICT}{HOST}{LENGTH}\r\n{BODY}".encode())
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(2**16):
            received += chunk
    assert statuses(received.decode()) == [200]


def test_old_clients_are_kept_if_they_ask(server):
    old = f"POST {MODEL}:predict HTTP/1.0\r\n{LENGTH}"
    text, is_closed = exchange(server, f"{old}\r\n{BODY}")
    assert statuses(text) == [200] and is_closed
    kept = f"{old}Connection: Keep-Alive\r\n\r\n{BODY}"
    text, is_closed = exchange(server, kept * 2, 2)
    assert statuses(text) == [200, 200] and not is_closed
    assert text.lower().count("connection: keep-alive") == 2


def test_continue_comes_before_the_body(server):
    with connected(server) as connection:
        expect = "Expect: 100-continue\r\n"
        connection.sendall(f"{PREDICT}{HOST}{LENGTH}{expect}\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY.encode())
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200")


REFUSED = {
    "model": (f"POST /v1/models/none:predict HTTP/1.1\r\n{HOST}{LENGTH}", 404),
    "version": (f"POST {MODEL}/versions/7:predict HTTP/1.1\r\n{HOST}{LENGTH}", 404),
    "label": (f"POST {MODEL}/labels/x:predict HTTP/1.1\r\n{HOST}{LENGTH}", 400),
    "length": (f"{PREDICT}{HOST}Content-Length: 99999999\r\n", 413),
    "packing": (f"{PREDICT}{HOST}{LENGTH}Content-Encoding: br\r\n", 415),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_body_is_asked_for_that_is_refused(server, case):
    head, expected = REFUSED[case]
    text, _ = exchange(server, f"{head}Expect: 100-continue\r\n\r\n")
    assert statuses(text) == [expected]
    text, _ = exchange(server, f"{PREDICT}{HOST}{LENGTH}Expect: more\r\n\r\n")
    assert statuses(text) == [417]


def test_bodies_may_be_chunked_and_packed(server):
    path = f"{MODEL}:predict?key=value"
    _, plain = ask(server, "POST", path, BODY)
    assert json.loads(plain)["predictions"]
    parts = [BODY[:9].encode(), BODY[9:].encode()]
    response, answer = ask(server, "POST", path, iter(parts))
    assert (response.status, answer) == (200, plain)
    packed = gzip.compress(BODY.encode())
    response, answer = ask(server, "POST", path, packed, Content_Encoding="gzip")
    assert (response.status, answer) == (200, plain)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models/d%65mo", 200),
        (f"/v1/models/demo/versions/{'0' * 40}1", 200),
        ("/v1/models/demo/versions/9223372036854775808", 400),
        ("/v1/models/demo%2Fmetadata", 404),
        ("/V1/Models/demo/METADATA?a=b", 200),
        ("/", 404),
        ("/favicon.ico", 404),
        ("/v2/models/demo", 404),
        ("/v1/nothing", 400),
        ("/v1/models/%00", 404),
        ("/v1/models/%ff", 404),
        ("/v1/models/demo%0d%0aX:1", 400),
    ],
)
def test_paths(server, path, expected):
    response, answer = ask(server, "GET", path)
    assert response.status == expected, answer
    assert response.headers["Content-Type"] == "application/json"
    assert ("error" in json.loads(answer)) == (expected != 200)
    head, nothing = ask(server, "HEAD", path)
    assert (head.status, nothing) == (expected, b"")
    assert head.headers["Content-Length"] == str(len(answer))


def test_encoded_colon_is_a_colon(server):
    response, _ = ask(server, "POST", f"{MODEL}%3Apredict", BODY)
    assert response.status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(server, method):
    response, answer = ask(server, method, MODEL)
    assert response.status == 400
    assert json.loads(answer)["error"] == f"Malformed request: {method} {MODEL}"
    assert "Access-Control-Allow-Origin" not in response.headers


def test_pages_of_any_origin_may_ask_if_the_flag_says_so(guarded):
    response, _ = ask(guarded, "OPTIONS", f"{MODEL}:predict", Origin="http://a.test")
    assert response.status == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    response, _ = ask(guarded, "GET", MODEL, Authorization=f"bearer {TOKEN}")
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_refusal_names_the_scheme_and_takes_one_token(guarded):
    response, answer = ask(guarded, "GET", MODEL)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert list(json.loads(answer)) == ["error"]
    line = f"Authorization: Bearer {TOKEN}\r\n"
    assert statuses(exchange(guarded, f"{STATUS}{line}\r\n")[0]) == [200]
    assert statuses(exchange(guarded, f"{STATUS}{line}{line}\r\n")[0])[0] in (400, 401)
