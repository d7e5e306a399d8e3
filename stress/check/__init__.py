"""`check`: what a reviewer would ask of a patch that comes as a plugin, in one go; prints a report for a mail.

`plan` decides which designs are compared, `parts` asks the questions, `command` asks them in order and prints.
Stands above the studies, whose answers it puts together.
"""
