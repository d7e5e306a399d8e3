"""Command line, coordinator, workers, measurement, statistics and reports."""
