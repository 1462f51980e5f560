"""Emulated object stores, as Beam is led to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from beam_jobs.storage.remote_path import RemotePath, delete_below, set_flags
from tests import object_stores


@dataclasses.dataclass
class Store:
    """A running store: the url of its bucket and the flags that lead there."""

    url: str
    flags: list[str]


@pytest.fixture(scope="module")
def s3() -> Iterator[Store]:
    import boto3

    with (
        object_stores.s3_server("shop") as found,
        pytest.MonkeyPatch.context() as patch,
    ):
        flags = {
            "s3_endpoint_url": found["AWS_ENDPOINT_URL"],
            "s3_access_key_id": found["AWS_ACCESS_KEY_ID"],
            "s3_secret_access_key": found["AWS_SECRET_ACCESS_KEY"],
            "s3_region_name": found["AWS_DEFAULT_REGION"],
        }
        session = boto3.session.Session()
        # Beam makes a session for every file, which each read the same descriptions.
        patch.setattr(boto3.session, "Session", lambda: session)
        yield Store("s3://shop", [f"--{name}={value}" for name, value in flags.items()])


@pytest.fixture(scope="module")
def gcs() -> Iterator[Store]:
    from apache_beam.internal.gcp import auth

    with (
        object_stores.gs_server("shop") as found,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("STORAGE_EMULATOR_HOST", found["STORAGE_EMULATOR_HOST"])
        # Beam looks for credentials again and again, whatever `--no_auth` says.
        patch.setattr(auth, "get_service_credentials", lambda options: None)
        yield Store("gs://shop", ["--no_auth", "--project=shop"])


@pytest.fixture(params=["s3", "gcs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    found: Store = request.getfixturevalue(request.param)
    set_flags(found.flags)
    yield found
    delete_below(RemotePath(found.url))
    set_flags([])
