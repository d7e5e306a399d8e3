"""`python -m stress calibrate`: how often do comparisons find what is not there, and what is?

    options    what was asked for, checked
    stage      comparisons of a design with itself, slowed down or not
    neighbour  a process that burns one of the CPUs
    tuning     how often and how long frees must spin to be so many percent slower
    samples    comparisons as data, and the file they are gathered in
    table      false alarms and power with their intervals; the goals
    report     as text, Markdown and JSON
    gather     making comparisons
    command    all of it in turn

A comparison is measured and judged as a run is: launches of two worlds side by side. The design is the same in both;
they differ in

    same        nothing: one program against itself shows the statistics alone
    0 %         the program: the same code compiled again, which lies elsewhere in memory, as that of another
                design would: what differs now is luck of the layout, and reported all the same
    1 % ...     that, and some frees on the other side spin, so that it is so much slower
"""
