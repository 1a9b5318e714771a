"""Capabilities that come with the library, each written as anybody's plugin is: they import only what is public.

`ethereum` is the data of an Ethereum chain and where it comes from; `eth` and `snap` exchange it. `relay` carries links of others, and
`punch` moves sessions from there to direct links.
"""
