"""Who is visited when, how often, and who is not: decisions alone, without clock and network.

queue          whose turn it is, so that liars do not get ahead of honest nodes
cover          which parts of the key space are asked about, beside each node's own surroundings
second_look    who may have been missed, and is asked once more
politeness     what may be done to one host
revisits concurrency    when a node is due again; how many visits are under way
"""

from devp2p_crawler.frontier.concurrency import Concurrency
from devp2p_crawler.frontier.cover import MOST_QUESTIONS, Cover, Question, Targets, closest_distances
from devp2p_crawler.frontier.politeness import Courtesy, Politeness
from devp2p_crawler.frontier.queue import Entry, Place, Queue, Teller
from devp2p_crawler.frontier.revisits import AFTER_FAILURE, LATEST, Standing
from devp2p_crawler.frontier.second_look import SecondLook

__all__ = [
    "AFTER_FAILURE",
    "LATEST",
    "MOST_QUESTIONS",
    "Concurrency",
    "Courtesy",
    "Cover",
    "Entry",
    "Place",
    "Politeness",
    "Question",
    "Queue",
    "SecondLook",
    "Standing",
    "Targets",
    "Teller",
    "closest_distances",
]
