"""The pictures of the documentation: life cycles, and the architecture. `docs/generate.py` writes them.

Those of jobs are drawn from the table of moves in `penstock/states.py`, with whatever is in it.
"""

from drawing import ENDED, FILL, PAPER, Edge, arrow, box, picture, state_picture

from penstock.states import FINAL, TRANSITIONS, ServerState, SliceState

JOB_PLACES = {
    "queued": (120.0, 230.0),
    "running": (480.0, 230.0),
    "paused": (300.0, 75.0),
    "failed": (300.0, 400.0),
    "completed": (820.0, 230.0),
    "aborted": (820.0, 400.0),
}
BENDS = {
    ("queued", "aborted"): (-235, 0.5),
    ("paused", "aborted"): (75, 0.5),
    ("running", "aborted"): (0, 0.5),
    ("failed", "aborted"): (0, 0.5),
    ("paused", "failed"): (0, 0.22),
    ("running", "completed"): (0, 0.5),
    ("completed", "running"): (40, 0.5),
    ("completed", "queued"): (-95, 0.5),
}
"""How far arrows of jobs bend, and where their words stand, where that is not the same as for others."""


def job_picture(*, batch: bool) -> str:
    """Return the life cycle of a job, from the table of moves."""
    moves: dict[tuple[str, str], list[str]] = {}
    for row in TRANSITIONS:
        if row.batch is batch:
            words = moves.setdefault((str(row.source), str(row.target)), [])
            if str(row.move) not in words:
                words.append(str(row.move))
    edges = [Edge(*pair, ", ".join(words), *BENDS.get(pair, (22, 0.5))) for pair, words in moves.items()]
    title = f"Life of a {'batch ' if batch else ''}job"
    return state_picture(title, JOB_PLACES, edges, size=(1000, 570), ended=[*map(str, FINAL)])


SLICE_EDGES = (
    Edge("queued", "running", "claimed"),
    Edge("running", "queued", "handed back"),
    Edge("running", "gone", "finished, with its outputs", 0),
    Edge("running", "failed", "a record failed", 0),
    Edge("failed", "queued", "the job is retried"),
    Edge("queued", "gone", "the job is aborted", -95, 0.6),
)


def slice_picture() -> str:
    """Return the life cycle of a slice."""
    queued, running, failed = map(str, SliceState)
    places = {queued: (120.0, 110.0), running: (440.0, 110.0), failed: (280.0, 260.0), "gone": (800.0, 110.0)}
    return state_picture("Life of a slice", places, SLICE_EDGES, size=(900, 330), ended=["gone"])


SERVER_EDGES = (
    Edge("starting", "running", "a worker is ready", 0),
    Edge("running", "paused", "pause"),
    Edge("paused", "running", "resume"),
    Edge("starting", "paused", "pause", 60),
    Edge("running", "stopping", "stop", 0),
    Edge("paused", "stopping", "stop", 22),
    Edge("starting", "stopping", "stop", -50),
    Edge("stopping", "ended", "all handed back", 0),
)


def server_picture() -> str:
    """Return the life cycle of a server."""
    starting, running, paused, stopping = map(str, ServerState)
    places = {
        starting: (120.0, 190.0),
        running: (410.0, 190.0),
        paused: (410.0, 60.0),
        stopping: (660.0, 190.0),
        "ended": (920.0, 190.0),
    }
    return state_picture("Life of a server", places, SERVER_EDGES, size=(1020, 300), ended=["ended"])


def architecture_picture() -> str:
    """Return who talks to whom."""
    return picture(
        "How work flows",
        [
            box(130, 80, 200, 84, "Your program", "creates and queries jobs", "uploads and downloads", fill=PAPER),
            box(130, 235, 200, 66, "penstock …", "the command line", fill=PAPER),
            box(
                465,
                158,
                190,
                190,
                "Store",
                "one SQLite file,",
                "or one PostgreSQL",
                "",
                "jobs",
                "slices",
                "servers",
                fill=FILL,
            ),
            box(950, 158, 420, 270, "Server, one or many", fill=ENDED, top=True),
            box(845, 158, 150, 84, "Dispatcher", "claims and settles;", "runs no code of yours"),
            box(1070, 90, 140, 54, "Worker process", "runs perform"),
            box(1070, 158, 140, 54, "Worker process", "runs perform"),
            box(1070, 226, 140, 54, "Worker process", "runs perform"),
            arrow((230, 80), (370, 120), "insert, read"),
            arrow((230, 235), (370, 200), "moves"),
            arrow((560, 130), (770, 140), "claim, wake-up", both=True),
            arrow((770, 180), (560, 190), "results, one transaction"),
            arrow((920, 140), (1000, 95), both=True),
            arrow((920, 158), (1000, 158), both=True),
            arrow((920, 176), (1000, 221), both=True),
        ],
        (1180, 320),
    )


PICTURES = {
    "pictures/architecture.svg": architecture_picture,
    "pictures/job.svg": lambda: job_picture(batch=False),
    "pictures/batch-job.svg": lambda: job_picture(batch=True),
    "pictures/slice.svg": slice_picture,
    "pictures/server.svg": server_picture,
}
