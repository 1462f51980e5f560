"""Object stores to test against: servers of this machine, and a folder as a store."""

import contextlib

import pytest

from s4rec_tf.runs import store


@contextlib.contextmanager
def s3_server(bucket):
    """Runs an S3 server with an empty bucket; gives the variables that lead there."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    region = "us-east-1"
    client = boto3.client("s3", endpoint_url=url, region_name=region, **keys)
    client.create_bucket(Bucket=bucket)
    variables = {name.upper(): value for name, value in keys.items()}
    yield {**variables, "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": region}
    server.stop()


@contextlib.contextmanager
def gs_server(bucket):
    """Runs a server of Google's API with an empty bucket; gives the variables."""
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=bucket)
    server.start()
    host, port = server._api._httpd.socket.getsockname()
    # Without the second, the client looks for the machine's credentials for long.
    yield {"STORAGE_EMULATOR_HOST": f"http://{host}:{port}", "NO_GCE_CHECK": "true"}
    server.stop()


SERVERS = {"s3": s3_server, "gs": gs_server}


@contextlib.contextmanager
def folder_as_store(folder):
    """Makes a folder the store of every address, `s3://NAME/...` in its `NAME/...`."""
    from cloudpathlib.local import LocalS3Client

    client = LocalS3Client(local_storage_dir=folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_client", lambda scheme: client)
        yield
