"""What commands import when they need it, and what Numba imports when it first loads a program."""

# ruff: noqa: F401

import contextlib
import gc

import filelock
import multiprocessing_logging
import numba
import platformdirs
import psutil
import scipy.stats

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
import stress.simulate.study

with contextlib.suppress(ImportError):
    import pyarrow.parquet
with contextlib.suppress(ImportError):
    import distributed.cli.dask_scheduler
    import distributed.cli.dask_worker
numba.njit(lambda: 0)()
gc.collect()
gc.freeze()
