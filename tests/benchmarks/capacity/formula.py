"""How much of everything so many cameras need, in seconds, bytes, frames; see docs/operator/capacity.md."""

import math
from dataclasses import dataclass
from statistics import NormalDist

CERTAINTY = 0.95  # share of lines whose busiest monitor is no busier than the formula says


@dataclass(frozen=True)
class Terms:
    """What is known of a line and its machines."""

    rate: float = 1.0  # frames a second of one camera
    frame_bytes: float = 55e3
    frame_cpu: float = 0.034  # core seconds a frame, all of the monitor included
    utilisation: float = 0.7  # of the busiest monitor's cores
    cores: int = 4  # of one monitor
    partitions_each: int = 4  # partitions for each monitor
    readers: int = 1  # of every frame: the monitors, and 1 more for each recorder
    replicas: int = 3
    kept: float = 24 * 3600.0  # how long frames stay in the topic
    broker_network: float = 1.25e9  # bytes a second each way: 10 Gbit/s
    broker_disk: float = 500e6  # bytes a second written
    broker_load: float = 0.5  # share of a broker's network and disk that may be used, so that others can catch up


@dataclass(frozen=True)
class Plan:
    """What is needed. Bytes a second; `disk` in bytes over all brokers."""

    frames: float  # a second
    monitors: int
    cores: int
    imbalance: float  # load of the busiest monitor over the mean
    partitions: int
    ingress: float  # from the cameras
    broker_in: float  # of one broker, replication included
    broker_out: float
    brokers: int
    disk: float


def plan(cameras: int, terms: Terms) -> Plan:
    """The smallest number of monitors of which the busiest is no busier than wanted, and what goes with it."""
    frames = cameras * terms.rate
    work = frames * terms.frame_cpu  # cores that are busy
    monitors = 1
    while work / monitors * imbalance(cameras, monitors) > terms.utilisation * terms.cores:
        monitors += 1
    ingress = frames * terms.frame_bytes
    into, out = ingress * terms.replicas, ingress * (terms.replicas - 1 + terms.readers)
    network, disk = (terms.broker_load * limit for limit in (terms.broker_network, terms.broker_disk))
    brokers = max(terms.replicas, math.ceil(max(into / network, out / network, into / disk)))
    return Plan(
        frames=frames,
        monitors=monitors,
        cores=monitors * terms.cores,
        imbalance=imbalance(cameras, monitors),
        partitions=monitors * terms.partitions_each,
        ingress=ingress,
        broker_in=into / brokers,
        broker_out=out / brokers,
        brokers=brokers,
        disk=into * terms.kept,
    )


def imbalance(cameras: int, monitors: int) -> float:
    """How many times the mean load the busiest monitor has, at most, in `CERTAINTY` of all lines.

    Hashing throws each camera on one of m monitors, so that one has n/m cameras with a standard deviation of
    sqrt(n (1/m) (1 - 1/m)); the busiest of m is `z` deviations above the mean, the quantile of the largest of m
    normal variables, and half a camera more since cameras are whole. Each monitor has as many partitions.
    """
    if monitors == 1:
        return 1.0
    z = NormalDist().inv_cdf(CERTAINTY ** (1 / monitors))
    mean = cameras / monitors
    return min(cameras, mean + z * math.sqrt(mean * (1 - 1 / monitors)) + 0.5) / mean


def probability_of_waiting(servers: int, utilisation: float) -> float:
    """Erlang's C formula (1917): the share of Poisson arrivals that find all `servers` busy, of exponential service."""
    load = servers * utilisation
    term, total = 1.0, 1.0
    for i in range(1, servers):
        term *= load / i
        total += term
    last = term * load / servers / (1 - utilisation)
    return last / (total + last)


def mean_wait(servers: int, utilisation: float) -> float:
    """Mean wait in service times, for Poisson arrivals and a constant service time (M/D/c).

    Cosmetatos, "Approximate explicit formulae for the average queueing time in the processes (M/D/r) and (D/M/r)",
    INFOR 13 (1975).
    """
    c, rho = servers, utilisation
    exponential = probability_of_waiting(c, rho) / (c * (1 - rho))
    correction = (1 - rho) * (c - 1) * (math.sqrt(4 + 5 * c) - 2) / (16 * c * rho)
    return 0.5 * (1 + correction) * exponential


def wait_quantile(servers: int, utilisation: float, share: float) -> float:
    """The wait in service times that `share` of the frames do not exceed.

    The tail is exponential, P(W > t) = a exp(-d t) (Tijms, "A First Course in Stochastic Models", 2003, chapter 9): d
    solves the equation of M/D/c, and `a` makes the mean of the tail that of Cosmetatos.
    """
    c, load = servers, servers * utilisation
    low, high = 1 + 1e-9, 2.0
    while load * (1 - high) + c * math.log(high) > 0:
        high *= 2
    if load * (1 - low) + c * math.log(low) <= 0:
        return math.inf
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if load * (1 - middle) + c * math.log(middle) > 0 else (low, middle)
    decay = load * (low - 1)
    return max(0.0, math.log(mean_wait(servers, utilisation) * decay / (1 - share)) / decay)
