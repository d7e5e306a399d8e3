"""`python -m stress check`: every question in turn, then a report in plain text.

Exit status: 0 nothing failed; 1 an invariant was violated, counters differ from the kernel's where nothing was to
change, or the explorer finds what it did not find before; 2 bad usage; 3 a part is incomplete.
"""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

from stress.check import parts
from stress.check.parts import DAMAGED, FAILED, Part
from stress.check.plan import Plan
from stress.plugins.load import shown
from stress.process import statuses
from stress.process.errors import DamagedRun

WIDTH = 76  # a mail's lines, with room for a quotation mark or two


def main(plan: Plan, *, quiet: bool, out: Path | None, format: str = "text") -> int:
    """Ask, print as `text` or `json`, and return the exit status.

    Raises UsageError, and KeyboardInterrupt when nothing is there yet.
    """
    from stress.play.session import session
    from stress.process import ending
    from stress.process.files import write_atomically
    from stress.process.streams import printing

    began, asked = time.monotonic(), []
    with session(quiet=quiet, log_level="warning") as progress:
        for ask in parts.PARTS:
            try:
                asked.append(ask(plan, progress))
            except KeyboardInterrupt:
                if not asked:
                    raise
                asked.append(Part("Interrupted", DAMAGED, ["what follows was not asked"]))
                break
            except DamagedRun as error:
                asked.append(Part(ask.__name__.capitalize(), DAMAGED, [str(error)]))
        progress.close()
        ending.ignore_further()
    took, status = time.monotonic() - began, exit_status(asked)
    if format == "json":
        import msgspec

        from stress.check.reviewed import review

        found = msgspec.json.encode(review(plan, asked, took, status))
        text = msgspec.json.format(found, indent=2).decode() + "\n"
    else:
        text = report(plan, asked, took)
    if out is not None:
        write_atomically(out, text.encode())
    with printing():
        print(text, end="")
    return status


def exit_status(asked: list[Part]) -> int:
    """What failed outweighs what is incomplete."""
    found = {part.status for part in asked}
    return statuses.VIOLATED if FAILED in found else statuses.DAMAGED if DAMAGED in found else statuses.DONE


def report(plan: Plan, asked: list[Part], seconds: float) -> str:
    """Plain text of a mail's width: the summary first, then each part."""
    plugin = plan.plugin
    lines = [f"Checked: {shown(plugin.where)} (sources {plugin.digest[:12]})"]
    lines += [f"  {switch.name}: {switch.summary}" for switch in plugin.switches]
    if plugin.hooks:
        names = ", ".join(dict.fromkeys(hook.function.__name__ for hook in plugin.hooks))
        lines.append(f"  in the place of: {names}")
    lines.append(f"{plan.after} against {plan.before} on {plan.allocator}, seed {plan.seed}, {seconds:.0f} s in all")
    lines.append("")
    width = max(len(part.title) for part in asked)
    lines += [f"  {part.title:<{width}}  {part.status}" for part in asked]
    for number, part in enumerate(asked, 1):
        lines += ["", f"{number}. {part.title}: {part.status}"]
        lines += [f"   {line}" for line in part.lines]
        if part.command:
            loading = f" --plugin {shown(plugin.where)}" if plugin.where.endswith((".py", ".toml")) else ""
            lines.append(f"   $ {part.command}{loading}")
    wrapped: list[str] = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        commands = line.lstrip().startswith("$ ")
        wrapped += textwrap.wrap(
            line.lstrip(), WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False,
            break_long_words=False,
        ) if not commands else [line]  # fmt: skip
        if not line:
            wrapped.append("")
    return "\n".join(wrapped) + "\n"
