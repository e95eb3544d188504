"""The pictures show what the tables say."""

import sys
import xml.etree.ElementTree as ElementTree

import pytest
from tests.docs.blocks import DOCS

from penstock.states import TRANSITIONS, ServerState, SliceState

SVG = "{http://www.w3.org/2000/svg}"


def drawn(name):
    """Return the words of a picture, and how many arrows it has."""
    root = ElementTree.parse(DOCS / "pictures" / name).getroot()
    width, height = map(float, root.get("viewBox").split()[2:])
    texts = root.findall(f"{SVG}text")
    assert all(0 < float(text.get("x")) < width and 0 < float(text.get("y")) < height for text in texts)
    return [text.text for text in texts], len([path for path in root.findall(f"{SVG}path") if path.get("marker-end")])


@pytest.mark.parametrize(("name", "batch"), [("job.svg", False), ("batch-job.svg", True)])
def test_every_move_of_the_table_is_an_arrow_and_no_other_is(name, batch):
    rows = [row for row in TRANSITIONS if row.batch is batch]
    words, arrows = drawn(name)
    assert arrows == len({(row.source, row.target) for row in rows})
    moves = [move for word in words for move in word.split(", ") if move in {row.move for row in rows}]
    assert len(moves) == len({(row.move, row.source, row.target) for row in rows})


@pytest.mark.parametrize(("name", "states"), [("slice.svg", SliceState), ("server.svg", ServerState)])
def test_every_state_has_its_place(name, states):
    assert set(map(str, states)) <= set(drawn(name)[0])


def test_a_state_without_a_place_is_no_picture():
    sys.path.insert(0, str(DOCS))
    try:
        from drawing import Edge, state_picture
    finally:
        sys.path.remove(str(DOCS))
    with pytest.raises(KeyError):
        state_picture("", {"here": (0, 0)}, [Edge("here", "nowhere", "go")], size=(1, 1))
