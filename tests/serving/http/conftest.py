import pytest

from tests.serving import inside
from tests.serving.http.raw_http import TOKEN


@pytest.fixture(scope="module")
def base(served_export, tmp_path_factory):
    base = tmp_path_factory.mktemp("http") / "demo"
    inside.link_versions(served_export.version, base, 1)
    return base


@pytest.fixture(scope="module")
def server(base):
    flags = ("--model_base_path", base, "--model_name", "demo")
    with inside.server(*flags) as answering:
        yield answering


@pytest.fixture(scope="module")
def guarded(base):
    """A server that asks for a token, answers pages, and waits a second at most."""
    tokens = base.with_name("tokens")
    tokens.write_text(TOKEN)
    with inside.server(
        *("--model_base_path", base, "--model_name", "demo", "--token_file", tokens),
        *("--rest_api_enable_cors_support=true", "--rest_api_timeout_in_ms=1000"),
    ) as answering:
        yield answering
