"""What follows from all visits taken together: clients, forks, sessions and how long they last, nodes that are not what they seem."""

from devp2p_crawler.analysis.clients import Client, parse_client
from devp2p_crawler.analysis.forks import ForkStanding, Readiness, network_of, standing, standing_of
from devp2p_crawler.analysis.recall import LATEST, estimate_recall
from devp2p_crawler.analysis.sessions import (
    NodeSessions,
    SessionState,
    Stretch,
    UptimeSession,
    allowed_misses,
    present_uptime,
    sessions_of,
    stretches_of,
)
from devp2p_crawler.analysis.steps import Call, ProbeStep, StepState, fork_step, steps_of_call
from devp2p_crawler.analysis.survival import Survival, SurvivalPoint, kaplan_meier
from devp2p_crawler.analysis.sybils import Findings, Hint, SeenNode, SybilLimits, find_clusters, find_sybils
from devp2p_crawler.analysis.tracking import SessionCounts, SessionTracker

__all__ = [
    "LATEST",
    "Call",
    "Client",
    "Findings",
    "ForkStanding",
    "Hint",
    "NodeSessions",
    "ProbeStep",
    "Readiness",
    "SeenNode",
    "SessionCounts",
    "SessionState",
    "SessionTracker",
    "StepState",
    "Stretch",
    "Survival",
    "SurvivalPoint",
    "SybilLimits",
    "UptimeSession",
    "allowed_misses",
    "estimate_recall",
    "find_clusters",
    "find_sybils",
    "fork_step",
    "kaplan_meier",
    "network_of",
    "parse_client",
    "present_uptime",
    "sessions_of",
    "standing",
    "standing_of",
    "steps_of_call",
    "stretches_of",
]
