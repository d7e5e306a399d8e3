"""How things are shown; knows nothing of runs.

    units, markdown, tables         numbers as people read them; text that stays text; a table as data
    terminal, progress              a console set with Rich; the live line
    html, shapes, axis, charts, curves, figure      pages and pictures (inline SVG), `page.css`

May import `judge` (a Ratio is shown) and `process`.
"""
