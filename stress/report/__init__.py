"""Reports of a result: text for a terminal, Markdown, JSON, a page, CSV and benchstat text.

`table` says what the rows are, `sentences` and `verdict` what they mean, `figures` and `counted` what is drawn;
`text`, `markdown` and `page` only set them, `export`, `mmtests` and `parquet` are for other programs, `render` chooses.
`compare` puts runs beside each other; `comparison` and `compared` set that.

May import `show`, `result`, `judge`, `process`, and of `allocators` what imports nothing heavy.
"""
