"""The result of a run: as data (`data`), as files (`files`), a folder of them (`folder`), and lists (`listed`).

`grading` has the levels of findings and the grade that follows. Named here is what readers of results need.
May import `stress.judge` and `stress.process`.
"""

from stress.result.data import SCHEMA_VERSION, Result
from stress.result.files import encode, read_result, write_result

__all__ = ["SCHEMA_VERSION", "Result", "encode", "read_result", "write_result"]
