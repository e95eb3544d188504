import io
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ConfigurationError
from penstock.streams import Codec, open_reader, open_writer, register_codec
from penstock.streams.pipelines import pipeline_of


def options(place: Any, streams: Any = None, stream_options: Any = None) -> list[tuple[str, dict[str, Any]]]:
    steps = pipeline_of(place, streams, stream_options)
    return [(step.codec.name, dict(step.layer.options)) for step in steps]


@pytest.mark.parametrize("item", [("zip", {"entry": "a"}), ["zip", {"entry": "a"}], {"zip": {"entry": "a"}}])
def test_an_item_of_streams_is_a_name_or_a_pair_or_a_mapping(item: Any):
    assert options("x", ["gz", item]) == [("gz", {}), ("zip", {"entry": "a"})]


def test_options_refine_the_codecs_that_a_name_asks_for():
    assert options("a.gz.zip", None, {"zip": {"entry": "a"}}) == [("gz", {}), ("zip", {"entry": "a"})]
    assert options("a.gz.gzip", None, {"gzip": {"level": 1}}) == [("gz", {"level": 1}), ("gz", {"level": 1})]
    assert options("a", [("gz", {})], {"gz": {"level": 1}}) == [("gz", {"level": 1})]


@pytest.mark.parametrize(
    ("streams", "stream_options", "told"),
    [
        (None, {"zip": {"entry": "a"}}, r"a\.gz: options are given for zip, which is not among its streams \(gz\)"),
        ([], {"zip": {}}, r"for zip, which is not among its streams \(none\)"),
        (None, {"gz": {"entry": "a"}}, r"a\.gz: gz has no option 'entry'; known are: level"),
        ([("gz", {"x": 1})], None, r"gz has no option 'x'"),
        ([("gz", {"level": 1})], {"gz": {"level": 1}}, r"level of gz is given twice"),
        (None, {"rar": {}}, r"there is no stream 'rar'"),
        (None, {"gz": 9}, r"options of gz are a mapping"),
        ([("gz",)], None, r"an item of streams is a name, or a pair"),
        ([{"gz": {}, "zip": {}}], None, r"an item of streams is a name, or a pair"),
        ([7], None, r"an item of streams is a name, or a pair"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_before_anything_is_opened(
    tmp_path: Path, streams: Any, stream_options: Any, told: str
):
    for opened in (open_reader, open_writer):
        with pytest.raises(ConfigurationError, match=told):
            opened(tmp_path / "a.gz", streams=streams, stream_options=stream_options)
    assert list(tmp_path.iterdir()) == []


def test_options_are_not_shown():
    (step,) = pipeline_of("a.zip", None, {"zip": {"entry": "secret"}})
    assert "secret" not in repr(step)


class Upside(io.BytesIO):
    """A codec of one's own: the bytes backwards."""

    def __init__(self, sink: Any) -> None:
        super().__init__()
        self.sink = sink

    def close(self) -> None:
        if not self.closed:
            self.sink.write(self.getvalue()[::-1])
            super().close()


@pytest.fixture
def upside(monkeypatch: pytest.MonkeyPatch) -> Codec:
    from penstock.streams import registry

    monkeypatch.setattr(registry, "_BY_EXTENSION", dict(registry._BY_EXTENSION))
    return Codec(
        "upside",
        ("upside", "down"),
        lambda encoded, _: io.BytesIO(encoded.readall()[::-1]),  # type: ignore[index]
        lambda sink, _: Upside(sink),
        tuple,
    )


def test_a_codec_of_ones_own_is_used_by_its_extensions(tmp_path: Path, upside: Codec):
    register_codec(upside)
    register_codec(upside)
    with open_writer(tmp_path / "a.gz.down") as writer:
        writer.write(b"text")
    with open_reader(tmp_path / "a.gz.down", streams=["gz", "upside"]) as reader:
        assert reader.read() == b"text"


def test_a_codec_that_would_take_an_extension_away_is_refused(upside: Codec):
    with pytest.raises(ConfigurationError, match=r"files \.gz belong to codec gz"):
        register_codec(Codec("gz", ("gz",), upside.reader, upside.writer, tuple))
    with pytest.raises(ConfigurationError, match="must be one of its extensions"):
        register_codec(Codec("x", ("y",), upside.reader, upside.writer, tuple))
