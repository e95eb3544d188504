"""Jobs that come with Penstock. Servers know them only when they are told: `penstock server --app penstock.jobs`."""

from penstock.jobs.conversion import Conversion
from penstock.jobs.copy_file import CopyFile
from penstock.jobs.dirmon import DirmonJob
from penstock.jobs.housekeeping import Housekeeping
from penstock.jobs.on_demand import OnDemand, OnDemandBatch
from penstock.jobs.performance import Performance
from penstock.jobs.reseal import Reseal
from penstock.jobs.sql_batch import SqlBatch
from penstock.jobs.upload_file import UploadFile

__all__ = [
    "Conversion",
    "CopyFile",
    "DirmonJob",
    "Housekeeping",
    "OnDemand",
    "OnDemandBatch",
    "Performance",
    "Reseal",
    "SqlBatch",
    "UploadFile",
]
