"""How a space is searched: `search` by budgets and bounds, `depth_first` with sleep sets, `strategies` (random walk,
PCT), `shards` over processes; `minimise` makes a failing schedule small.

Imports `explore.space`.
"""
