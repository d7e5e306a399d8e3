"""What commands import when they need it, and what Numba imports when it first loads a program."""

import contextlib
import gc

import filelock  # noqa: F401
import multiprocessing_logging  # noqa: F401
import numba
import platformdirs  # noqa: F401
import psutil  # noqa: F401
import scipy.stats  # noqa: F401

import stress.calibrate.command
import stress.campaign.command
import stress.campaign.worker
import stress.commands.app
import stress.commands.run
import stress.measure.evaluation
import stress.measure.turns_file
import stress.play.coordinator
import stress.play.parallel
import stress.play.serial
import stress.play.session
import stress.report.page
import stress.report.text
import stress.simulate.study  # noqa: F401

with contextlib.suppress(ImportError):
    import pyarrow.parquet  # noqa: F401
with contextlib.suppress(ImportError):
    import distributed.cli.dask_scheduler
    import distributed.cli.dask_worker  # noqa: F401
numba.njit(lambda: 0)()
gc.collect()
gc.freeze()
