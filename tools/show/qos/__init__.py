"""``make run ARGS=--qos``: three capabilities share a slow line, once by stock RLPx and once by dpx/1, at the same time, on one screen.

- director:     the parent's course: start both sides, watch, stop
- plan:         what the capabilities send, what the line is like, which sides there are (pure)
- worker:       the program of a child: two nodes and the line between them
- sharing:      the three capabilities
- relay:        the slow line
- board:        what the parent has heard (pure)
- screen:       the live screen (needs rich)
- scatter:      diagrams and large digits of characters (pure)
- plain:        text for pipes and files, JSON for programs
- plot:         the run as SVG, PNG and a page
"""
