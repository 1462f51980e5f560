"""The page of `--ui`: there only if asked for, typed and bound by a strict policy."""

import contextlib
import http.client
import json

import pytest

from tests.serving import inside
from tests.serving.export_requests import HISTORY

TOKEN = "a-token-of-some-length"
VERSION = "/v1/models/demo/versions/1"


@pytest.fixture(scope="module")
def servers(served_export, tmp_path_factory):
    """One with the page and a token, one without both."""
    folder = tmp_path_factory.mktemp("ui")
    inside.link_versions(served_export.version, folder / "demo", 1)
    (folder / "tokens").write_text(TOKEN)
    flags = ("--model_base_path", folder / "demo", "--model_name", "demo")
    with inside.server(*flags, "--ui", "--token_file", folder / "tokens") as with_page:
        with inside.server(*flags) as without:
            yield with_page, without


def fetched(server, path, token=""):
    """Status, headers and body."""
    host, port = server.rest_address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    with contextlib.closing(connection):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


FILES = {"/ui/": "html", "/ui/page.css": "css", "/ui/page.js": "javascript"}


@pytest.mark.parametrize("path", [*FILES, "/ui/models", f"/ui/items{VERSION}"])
def test_without_the_flag_there_is_no_page(servers, path):
    assert fetched(servers[1], path)[0] == 404


@pytest.mark.parametrize("path", FILES)
def test_files_have_their_type_and_load_nothing_of_others(servers, path):
    status, headers, body = fetched(servers[0], path)
    assert (status, headers["Content-Type"]) == (
        200,
        f"text/{FILES[path]}; charset=utf-8",
    )
    policy = dict(
        part.split(maxsplit=1) for part in headers["Content-Security-Policy"].split(";")
    )
    assert (
        policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    )
    assert (
        policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    text = body.decode()
    assert not any(word in text for word in ("http:", "https:", "@import", "innerHTML"))


def test_data_needs_the_token(servers):
    for path in ("/ui/models", f"/ui/items{VERSION}"):
        assert fetched(servers[0], path)[0] == 401
    assert json.loads(fetched(servers[0], "/ui/models", TOKEN)[2]) == ["demo"]


def test_items_of_a_version_one_a_line(servers, served_export):
    status, headers, body = fetched(servers[0], f"/ui/items{VERSION}", TOKEN)
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert body == served_export.dataset.item_vocab.read_bytes()
    titles = fetched(servers[0], f"/ui/titles{VERSION}", TOKEN)
    assert (titles[0], titles[2]) == (200, b"")  # this export has none


@pytest.mark.parametrize(
    "path",
    [
        "/ui/items/v1/models/demo/versions/9",
        "/ui/items/v1/models/other",
        f"/ui/variables{VERSION}",
        f"/ui/items/..{VERSION}",
        "/ui/page.py",
    ],
)
def test_nothing_else_is_there(servers, path):
    assert fetched(servers[0], path, TOKEN)[0] in (400, 404)


def test_predictions_go_on_beside_it(servers):
    body = json.dumps({"instances": [{"history": HISTORY}]})
    headers = {"Authorization": f"Bearer {TOKEN}"}
    status, answer = servers[0].http("POST", "/v1/models/demo:predict", body, headers)
    assert status == 200 and answer["predictions"][0]["item_ids"]
