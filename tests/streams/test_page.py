"""The examples of docs/streams.md, run as they stand there, one after the other."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.streams import registry

pytest.importorskip("obstore")
moto = pytest.importorskip("moto.server")

PAGE = Path(__file__).parents[2] / "docs" / "streams.md"


@pytest.fixture
def _bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import boto3

    made = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{made.get_host_and_port()[1]}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="bucket")
    yield
    client.close()
    made.stop()


@pytest.mark.usefixtures("_bucket")
def test_every_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_BY_EXTENSION", dict(registry._BY_EXTENSION))
    names: dict[str, object] = {"__name__": "page"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 8
    for block in blocks:
        exec(block, names)
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["b'name,age\\n'", "b'Ada,36\\n'"]
    assert re.fullmatch(r"s3://bucket/names\.csv\.gz \d+ \S+ \S+", told[2])


def test_the_table_of_codecs_has_all_of_them_and_all_their_options():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE))
    codecs = {codec.name: codec for codec in registry.known_codecs()}
    assert rows.keys() == codecs.keys()
    for name, codec in codecs.items():
        extensions, _, options = rows[name].split(" | ")
        assert re.findall(r"`\.(\w+)`", extensions) == list(codec.extensions)
        assert sorted(re.findall(r"`(\w+)`", options)) == sorted(codec.options)
