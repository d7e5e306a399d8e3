"""Claims about the series and what came of it, each tested by running it: `python -m stress claims`.

claim.py says what a claim, a figure and a verdict are; lab.py runs what claims ask for; registry.py
lists the claims, whose tests are in the other modules; report.py and command.py show them, keeping.py leaves
what was found in a folder. reports: what was reported of sheaves, predicted.
"""
