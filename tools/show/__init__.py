"""The demonstration that ``make run`` starts: some thirty nodes that find each other by discovery, and a live screen of whom they have.

Some of the nodes observe: they have few places for peers, ask these for things in three capabilities, and keep count of how they behave.
What the nodes are truly like is in the plan, which the screen shows and no node knows.

- __main__:     the command line
- director:     the parent's course: set up, watch, stop
- plan:         who takes part, what each node is like, where it listens
- truth:        what a set of peers is truly worth
- children:     the child processes and their lines of JSON
- mapping:      the crawl of the network in the end, and its report
- gopeer:       a go-ethereum node that joins, where Go is installed
- board:        what the parent has heard
- changes:      what nodes decide about their peers, in words and counts
- meters:       rates, percentiles, curves
- summary:      the whole run as JSON and in words
- screen:       the live screen (the only module that needs rich)
- plain:        text for pipes and files, JSON for programs
- plot:         the run as SVG, PNG and a page
- reports:      the lines between parent and workers
- simulation:   the same nodes at the usual pace under a simulated clock; a program of its own
- seeds:        the show with five seeds and the controls; a program of its own
- courses:      their tables and pictures
- choice:       other ways to choose peers, as controls
- worker:       the program of a child: some of the nodes
- actor:        one node
- asking:       what an observer asks its peers
- conduct:      how nodes serve, and how they misbehave
- echo, news:   capabilities; the third is examples/bulk.py
- line:         counts the bytes of a transport
- qos/:         another show, of a slow line that is shared by stock RLPx, and by dpx/1
"""
