"""Which sink suits a target."""

import os

from penstock.errors import OutputError
from penstock.streams.places import Place, name_of
from penstock.streams.schemes.table import SchemeOptions, file_system, refuse_options
from penstock.streams.sinks import BorrowedSink, Sink, told


def sink_for(target: Place, scheme_options: SchemeOptions | None = None) -> Sink:
    """The sink that suits a target, opened.

    Raises:
        OutputError: It cannot be written.
        ConfigurationError: Its scheme is not known, cannot be written to, or has not such an option.
    """
    name = name_of(target)
    if not isinstance(target, str | os.PathLike):
        refuse_options(name, scheme_options)
        return BorrowedSink(target)
    try:
        files = file_system(target, scheme_options)
        try:
            sink = files.open_sink(os.fsdecode(target))
        except BaseException:
            files.close()
            raise
    except OSError as error:
        raise OutputError(f"{name}: {told(error)}") from error
    except ValueError as error:  # a NUL in the path
        raise OutputError(f"{name!r}: this is not a path ({error})") from error
    sink.let_go = files.close
    return sink
