"""Who is visited when, how often, and who is not: decisions alone, without clock and network."""

from devp2p_crawler.frontier.concurrency import Concurrency
from devp2p_crawler.frontier.cover import MOST_QUESTIONS, Cover, Question, Targets, closest_distances
from devp2p_crawler.frontier.politeness import Courtesy, Politeness
from devp2p_crawler.frontier.queue import Entry, Place, Queue, Teller
from devp2p_crawler.frontier.revisits import Standing

__all__ = [
    "MOST_QUESTIONS",
    "Concurrency",
    "Courtesy",
    "Cover",
    "Entry",
    "Place",
    "Politeness",
    "Question",
    "Queue",
    "Standing",
    "Targets",
    "Teller",
    "closest_distances",
]
