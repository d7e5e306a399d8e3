"""What all tests share: one folder of compiled code, apart from the user's own; recordings of kernels; published schemas."""

import json
import os
import signal

import pytest
from recordings import pytest_terminal_summary, recorded

__all__ = ["pytest_terminal_summary", "recorded"]


def pytest_configure(config: pytest.Config) -> None:
    """All workers of a session, and copies of the suite, compile each program once: file locks keep them apart.

    Set before anything is imported that asks for the folder, and inherited by the processes that tests start.

    A shell starts what it puts into the background with SIGINT ignored; tests send it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if getattr(config, "cache", None) is not None:
        os.environ.setdefault("SLAB_STRESS_CACHE", str(config.cache.mkdir("compiled")))


@pytest.fixture(scope="session")
def valid():
    """The data of a command's JSON, by the name of the published schema that it must keep to."""
    import jsonschema

    from stress import schema

    def check(name: str, data: str | bytes) -> dict:
        published = json.loads(schema.path(name).read_text())
        jsonschema.Draft202012Validator.check_schema(published)
        decoded = json.loads(data)
        jsonschema.validate(decoded, published)
        return decoded

    return check
