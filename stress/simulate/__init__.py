"""How a design scales: tapes played in virtual time on many numbers of CPUs (`python -m stress simulate`).

    options            what was asked for, checked
    sizes              how large a scenario is played, so that a point takes about as many operations whatever its CPUs
    point              one design on one number of CPUs: played and summed up
    study              all points, by as many processes as there are CPUs here
    result             what was found, as data
    names              of locks and lines, for people
    rates, spending    the curve that points make; where a point's time goes, in groups that people speak of
    sentences          what the points mean, each sentence with a threshold
    tables             what is shown, as data
    report, page       text, Markdown, JSON; a page with pictures

May import `play` and below.
"""
