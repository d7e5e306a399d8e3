"""How things are shown; knows nothing of runs.

    units, markdown, tables     numbers as people read them; text that stays text; a table as data
    terminal, progress          a console set with Rich; the live line
    html, figure                pages (`page.css`), and a picture on one
    shapes, axis                what pictures are drawn with (inline SVG); scales and their ticks
    line_chart                  a chart with two axes, of which those below are made
    charts, curves, growth      rates, ratios, counts; latencies and counts over time; what more CPUs bring

May import `judge` (a Ratio is shown) and `process`.
"""
