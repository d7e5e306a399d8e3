"""Reports of a result: text for a terminal, Markdown, JSON, a page, CSV and benchstat text.

`table` says what the rows are, `sentences` and `verdict` what they mean, `figures` what is drawn; `text`, `markdown` and
`page` only set them. `compare` puts runs beside each other.

May import `show`, `result`, `judge` and `process`.
"""
