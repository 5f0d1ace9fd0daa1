"""What share of good parts thresholds flag on average, as a multiple of the rate.

Lines are drawn from known distributions, each is calibrated on a few scores of its own, and the share that its
threshold flags is exact. The last column replaces one of the scores by a defect that scores four times as high as the
highest. A second table is about the rates that are chosen by default: how many lines flag a share within the range that
is printed, and how many defects (scores of two to six deviations above good parts) are found, as a share of what the
best threshold at that rate finds.
"""

import numpy as np
from andon_monitor.model.calibration import calibrate, supported_rate
from scipy import stats

LINES = 400
CASES = ((10, 0.01), (10, 0.05), (20, 0.05), (45, 0.01), (45, 0.05), (100, 0.01), (300, 0.001), (300, 0.01))
TRUTHS = {
    "exponential": stats.expon,
    "lognormal 0.5": stats.lognorm(0.5),
    "normal": stats.norm,
    "Pareto 3": stats.lomax(3),
}
DEFAULT_CASES = (10, 20, 31, 45, 60, 100, 300, 1000)
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
    print()
    headings = [
        "good images, default rate",
        "range",
        *(f"within it, {name}" for name in TRUTHS),
        "found of the best, normal",
    ]
    print("| " + " | ".join(headings) + " |\n|" + "---|" * len(headings))
    for count in DEFAULT_CASES:
        rate = supported_rate(count)
        low, high = calibrate(np.arange(float(count)), rate).range or (0.0, 1.0)
        inside = []
        for truth in TRUTHS.values():
            lines = truth.rvs(size=(LINES, count), random_state=rng)
            realised = np.array([truth.sf(calibrate(line, rate).threshold) for line in lines])
            inside.append(np.mean((realised >= low) & (realised <= high)))
        defects = rng.uniform(2, 6, 4000)
        best = np.mean(defects > stats.norm.isf(rate))
        thresholds = [calibrate(line, rate).threshold for line in rng.normal(size=(LINES, count))]
        found = np.mean([np.mean(defects > threshold) for threshold in thresholds]) / best
        cells = [
            f"{100 * low:.2g} to {100 * high:.2g} %",
            *(f"{100 * share:.0f} %" for share in inside),
            f"{found:.2f}",
        ]
        print(f"| {count:,}, {100 * rate:g} % | " + " | ".join(cells) + " |")


def flagged(lines: np.ndarray, rate: float, truth: stats.rv_continuous) -> float:
    """The mean share of good parts above the thresholds of lines, float [lines, n]."""
    return float(np.mean([truth.sf(calibrate(line, rate).threshold) for line in lines]))


if __name__ == "__main__":
    main()
