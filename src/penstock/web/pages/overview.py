"""The first page: are we all right?"""

from datetime import datetime

from starlette.responses import Response

from penstock.service.overview import show_overview
from penstock.service.verdict import verdict_on
from penstock.web.charts import Series
from penstock.web.routing import get
from penstock.web.visit import Visit

FEW = 6


@get("/")
def first(visit: Visit) -> Response:
    """Show how things are."""
    seen = show_overview(visit.store)
    figures = seen["figures"]
    labels = [datetime.fromisoformat(each["minute"]).astimezone(visit.zone).strftime("%H:%M") for each in figures]
    chart = [Series(name, name, [each[name] for each in figures]) for name in ("completed", "failed")]
    records = [Series("records", "running", [each["records"] for each in figures])]
    return visit.render(
        "overview.html",
        seen=seen,
        verdict=verdict_on(seen),
        labels=labels,
        chart=chart,
        records=records,
        records_in_hour=sum(each["records"] for each in figures),
        few=FEW,
    )
