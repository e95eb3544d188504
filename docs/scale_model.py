"""The page of what one store carries, from the results of `penstock bench scale` and a template."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.bench.capacity import USE, Costs, capacity, costs_of, tables_of

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
SCALE = (HERE / "scale.in").read_text("utf-8")
STORE_CORES = (2, 8, 32)
LOG_MB = 200
"""Megabytes of log a second that the disk of the model takes: a modest SSD, or a volume of a cloud."""


def scale_page() -> str:
    """Return the page of what one store carries, reckoned from the stored measurements."""
    jobs, records, machine = tables_of(RESULTS / "scale-postgres.json")
    lite_jobs, lite_records, _ = tables_of(RESULTS / "scale.json")
    few, many = jobs[0], jobs[-1]
    per_job, per_record = costs_of(jobs), costs_of(records)
    return SCALE.format(
        machine="{cores} cores of {processor}, Python {python}".format_map(machine),
        load=machine["load"],
        costs="\n".join([*_costs("job", jobs), *_costs("record", records)]),
        capacities="\n".join(_capacities(per_job, per_record)),
        growth_server=many["server CPU µs"] / few["server CPU µs"],
        growth_store=many["store CPU µs"] / few["store CPU µs"],
        most=many["servers"],
        batch_store=per_job.store_us / per_record.store_us,
        batch_log=per_job.log_bytes / per_record.log_bytes,
        sqlite_jobs=max(row["jobs/s"] for row in lite_jobs),
        sqlite_records=max(row["records/s"] for row in lite_records),
        sqlite_job_us=lite_jobs[0]["server CPU µs"],
        sqlite_record_us=lite_records[0]["server CPU µs"],
        use=USE,
        log=LOG_MB,
    )


def _costs(what: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield (
            f"| {what} | {row['servers']} | {row['server CPU µs']:.2f} | {row['store CPU µs']:.2f} |"
            f" {row['log bytes']:,.0f} | {row['rows read']:.2f} | {row['rows written']:.2f} |"
            f" {row['blocks from disk']:.3f} | {row['commits of 1000']:.1f} |"
        )


def _capacities(per_job: Costs, per_record: Costs) -> Iterator[str]:
    for cores in STORE_CORES:
        for what, costs in (("small jobs", per_job), ("records of 65 bytes", per_record)):
            found = capacity(costs, cores=cores, log_mb=LOG_MB)
            yield (
                f"| {cores} | {what} | {found.per_second:,.0f} | {found.per_day / 1e6:,.0f} million |"
                f" {found.server_cores:.1f} | {found.log_mb:.0f} | {found.first} |"
            )
