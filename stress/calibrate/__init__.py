"""`python -m stress calibrate`: how often do comparisons find what is not there, and what is?

    options    what was asked for, checked
    stage      workers, launched once, that play blocks of one design, slowed down or not
    tuning     how often and how long frees must spin to be so many percent slower
    samples    comparisons as data, and the file they are gathered in
    table      false alarms and power with their intervals; the goals
    report     as text, Markdown and JSON
    gather     making comparisons
    command    all of it in turn

A comparison is a run of consecutive pairs of blocks, in the order AB BA AB ..., judged as `run` judges its
own. Many comparisons share one launch of workers, each with pairs of its own, so they are independent but for
what the machine does to all of them. The design is the same on both sides; the sides differ in

    same        nothing: one program against itself shows the statistics alone
    0 %         the program: the same code compiled again, which lies elsewhere in memory, as that of another
                design would: what differs now is luck of the layout, and reported all the same
    1 % ...     that, and some frees on the other side spin, so that it is so much slower
"""
