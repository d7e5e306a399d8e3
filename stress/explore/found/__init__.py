"""What a search found: `trace` as rows of steps, `story` in ten lines, `schedule` as a file that replays, `answer` with
its request, `table` of the catalogue, `published` as JSON.

Imports the other rooms of the explorer.
"""
