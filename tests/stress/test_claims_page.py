"""The page of tested claims: its verdicts, its plots by object size, and that nothing gets out of its text."""

from __future__ import annotations

from claims_report import report

from stress.claims import page
from stress.result.data import Violation


def test_verdicts_figures_machine_and_how_to_repeat_it():
    text = page.render(report()).decode()
    wanted = (
        "2 claims tested in 12 s, seed 7", "All invariants that were checked hold.", "does not hold",
        "4. Nothing slows down", "8. P6 matters little.",
        "Published: ", "slub, timed: pairs and free-burst", "Commands that repeat the runs",
        "python -m stress claims 4 8", "real cpus",
    )  # fmt: skip
    places = [text.find(word) for word in wanted]
    assert -1 not in places, wanted[places.index(-1)]


def test_a_forest_plot_for_each_thing_timed_with_a_row_per_size_and_design():
    drawn = {claim.id: [f for part in claim.parts for f in page.forests(part)] for claim in report().claims}
    assert [title for title, _ in drawn[4]] == ["pairs", "frees"]
    (_, pairs), _ = drawn[4]
    texts = [e.text for e in pairs.iter("text")]
    assert [t for t in texts if " B" in t] == [
        f"{size} B, {design}" for size in (64, 1024) for design in ("v1", "v3", "v3, again")
    ]
    colours = [e.get("class") for e in pairs.iter() if e.tag in ("rect", "polygon") and "mark" in e.get("class")]
    assert colours == ["mark d1 n1", "mark d2 n2", "mark d2 n2"] * 2
    assert len(drawn[8]) == 1, "a ratio that was not measured is not drawn"


def test_ratios_without_an_interval_are_drawn_as_such():
    text = page.render(report(pairs=2)).decode()
    assert "0.970" in text and "None" not in text and "nan" not in text


def test_a_violation_comes_first_and_nothing_gets_out_of_its_text():
    evil = "</style><script>alert(1)</script>"
    text = page.render(report(evil, (Violation(invariant=evil, design=evil, description=evil),))).decode()
    assert "INVARIANT VIOLATED" in text and text.count("<script") == 1
