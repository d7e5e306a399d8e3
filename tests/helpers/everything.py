"""What commands import when they need it, and what Numba imports when it first loads a program."""

import gc

import numba
import scipy.stats  # noqa: F401

import stress.calibrate.command
import stress.commands.app
import stress.commands.run
import stress.measure.evaluation
import stress.play.coordinator
import stress.play.parallel
import stress.play.serial
import stress.play.session
import stress.report.page
import stress.report.text
import stress.simulate.study  # noqa: F401

numba.njit(lambda: 0)()
gc.collect()
gc.freeze()
