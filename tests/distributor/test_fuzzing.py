"""Any bytes at all give messages or a `ProtocolError`. `python -m tests.distributor.fuzz` goes on for longer."""

from hypothesis import given
from hypothesis import strategies as st
from tests.distributor.fuzz import chopped, hostile, mangled, whole


@given(whole(), st.data())
def test_frames_are_the_same_however_they_are_cut(messages, data):
    chopped(messages, data.draw(st.lists(st.integers(1, 50), max_size=50)))


@given(st.binary(max_size=300))
def test_bytes_from_anywhere_are_messages_or_refused(data):
    hostile(data)


@given(whole(), st.integers(0, 10_000), st.integers(0, 255))
def test_a_frame_with_one_byte_changed_is_messages_or_refused(messages, place, value):
    mangled(messages, place, value)
