"""The demonstration that ``make run`` starts: several nodes in processes of their own, and a live screen of what passes between them.

- __main__:     the command line
- director:     the parent's course: set up, watch, stop
- plan:         who takes part, where each listens, who dials whom
- children:     the child processes and their lines of JSON
- gopeer:       a go-ethereum node that joins, where Go is installed
- board:        what the parent has heard, and the figures made of it
- screen:       the live screen (the only module that needs rich)
- plain:        text for pipes and files, JSON for programs
- node:         the program of a child: one node
- traffic:      what a child's node says to its peers
- line:         counts the bytes of a transport, and makes one slow
- echo:         the capability that the go-ethereum node shares with ours
- reports:      the lines between parent and children
"""
