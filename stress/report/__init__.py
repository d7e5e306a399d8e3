"""Reports of a result: as text for a terminal, as Markdown, as JSON.

`table` says what the rows are, `sentences` what they mean; `text` and `markdown` only set them.
"""
