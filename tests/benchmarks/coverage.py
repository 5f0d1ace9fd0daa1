"""What share of good parts thresholds flag on average, as a multiple of the rate.

Lines are drawn from known distributions, each is calibrated on a few scores of its own, and the share that its
threshold flags is exact. The last column replaces one of the scores by a defect that scores four times as high as the
highest.
"""

import numpy as np
from andon_monitor.model.calibration import calibrate
from scipy import stats

LINES = 400
CASES = ((10, 0.01), (10, 0.05), (20, 0.05), (45, 0.01), (45, 0.05), (100, 0.01), (300, 0.001), (300, 0.01))
TRUTHS = {
    "exponential": stats.expon,
    "lognormal 0.5": stats.lognorm(0.5),
    "normal": stats.norm,
    "Pareto 3": stats.lomax(3),
}
DEFECT = 4.0  # its score, as a multiple of the highest good one


def main() -> None:
    """Print the table of `docs/developer/model.md`."""
    headings = ["good images, rate", *TRUTHS, "exponential, one defect among them"]
    print("| " + " | ".join(headings) + " |\n|" + "---|" * len(headings))
    rng = np.random.default_rng(0)
    for count, rate in CASES:
        draws = {name: truth.rvs(size=(LINES, count), random_state=rng) for name, truth in TRUTHS.items()}
        shares = [flagged(draws[name], rate, truth) for name, truth in TRUTHS.items()]
        spoiled = draws["exponential"].copy()
        spoiled[:, 0] = DEFECT * spoiled.max(axis=1)
        shares.append(flagged(spoiled, rate, stats.expon))
        print(f"| {count}, {100 * rate:g} % | " + " | ".join(f"{share / rate:.1f}" for share in shares) + " |")


def flagged(lines: np.ndarray, rate: float, truth: stats.rv_continuous) -> float:
    """The mean share of good parts above the thresholds of lines, float [lines, n]."""
    return float(np.mean([truth.sf(calibrate(line, rate).threshold) for line in lines]))


if __name__ == "__main__":
    main()
