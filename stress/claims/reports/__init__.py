"""What was reported of sheaves, 6.18 to 7.3, predicted: `python -m stress claims --set sheaves`.

report            what a report, a row of it and an explanation are; what became of them
judge             from figures to a verdict
bench             plays settings in virtual time, natively where two CPUs can, each once
flow, bursts, owners, published
                  the reports, by what their workloads do
registry          all of them
offline           what is left of a cgroup that went, under each design
show, command     the page, the command
"""
