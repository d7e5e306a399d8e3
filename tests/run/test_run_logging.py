"""--log-level and --log-file: the coordinator and its workers in one place."""

import re

import pytest
from running import finish, small

LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ (DEBUG|INFO|WARNING|ERROR) +([\w-]+)\[(\d+)\] ([\w.]+): (.+)")


@pytest.mark.xdist_group("cpus")
def test_a_log_file_has_everybody_in_it(tmp_path):
    run = finish(
        tmp_path,
        "--after",
        "v3",
        "--seconds",
        "0.1",
        *small(),
        "--quiet",
        "--log-level",
        "debug",
        "--log-file",
        str(tmp_path / "log"),
    )
    lines = [LINE.fullmatch(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert all(lines)
    by_process = {line[2]: line[3] for line in lines}
    assert {"MainProcess", "worker-of-CPU-0", "worker-of-CPU-1", "kworker"} <= set(by_process)
    assert len(set(by_process.values())) == len(by_process)
    texts = "\n".join(f"{line[2]}: {line[5]}" for line in lines)
    for text in (
        "MainProcess: offline-storm: ", "worker-of-CPU-1: ready, pinned to real CPU ", "kworker: ready, not pinned",
        "MainProcess: 3 workers ready after ", "counted block of v3", "programs ready after",
    ):  # fmt: skip
        assert text in texts, text
    assert run.stderr == ""


def test_info_on_stderr_in_serial_play(tmp_path):
    run = finish(tmp_path, "--serial", "--after", "v3", *small(), "--quiet", "--log-level", "info")
    lines = [LINE.fullmatch(text) for text in run.stderr.splitlines()]
    assert all(line and line[1] == "INFO" and line[2] == "MainProcess" for line in lines)
    assert any("played v3: " in line[5] for line in lines)
