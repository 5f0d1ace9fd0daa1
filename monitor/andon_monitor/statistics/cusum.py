"""The Bernoulli CUSUM: detects a rise of the share of defects, part by part."""

import math
from dataclasses import dataclass

import numpy as np

# The statistic grows no further than this multiple of its limit, so that it falls soon after the cause is mended. The
# time to the first signal does not depend on it.
CEILING_IN_LIMITS = 1.5


@dataclass(frozen=True)
class BernoulliCusum:
    """Tests a share of defects `normal` against a share `raised`, part by part, with the limit `limit`.

    The statistic is S = max(0, S + ln(L1 / L0)): each part adds the logarithm of the ratio of its likelihoods under the
    raised and the normal rate. A good part takes ln((1 - normal) / (1 - raised)) away, a defect adds
    ln(raised / normal), here rounded to a whole number of good parts, which changes `raised` very little and makes
    run lengths exact. At S >= limit the rate is up. Reynolds & Stoumbos, "A CUSUM chart for monitoring a
    proportion when inspecting continuously", Journal of Quality Technology 31 (1999); Page, Biometrika 41 (1954).
    """

    normal: float
    raised: float
    limit: float

    def step(self, statistic: float, defect: bool) -> float:
        """The statistic after one more part."""
        change = self._good_parts * self._loss if defect else -self._loss
        return min(max(0.0, statistic + change), CEILING_IN_LIMITS * self.limit)

    def average_run_length(self, rate: float) -> float:
        """Parts until the first signal on average, from S = 0, where a share `rate` of the parts are defects.

        Exact: S moves on the multiples i of one good part's loss, down by one or up by m. Going down the lattice, with
        q(i) the chance to get from i to i - 1 before the signal and u(i) the parts spent at i and above meanwhile,
        q = (1 - rate) / (1 - rate Q) and u = (1 + rate U) / (1 - rate Q), where Q and U are the same for the way from
        i + m back to i. All terms are positive, so nothing cancels.
        """
        m, top = self._good_parts, math.ceil(self.limit / self._loss - 1e-9)
        q, u = np.zeros(top), np.zeros(top)
        for i in range(top - 1, -1, -1):
            back, spent = 0.0, 0.0
            if i + m < top:
                reach = np.cumprod(q[i + m : i : -1])  # [m], the chance to get from i + m to each state below
                back = float(reach[-1])
                spent = float(u[i + m] + (u[i + m - 1 : i : -1] * reach[:-1]).sum())
            if i == 0:
                return (1 + rate * spent) / (rate * (1 - back))
            q[i] = (1 - rate) / (1 - rate * back)
            u[i] = (1 + rate * spent) / (1 - rate * back)
        raise AssertionError("the limit is above 0")

    @property
    def _good_parts(self) -> int:
        """Number of good parts that offset one defect."""
        return max(1, round(math.log(self.raised / self.normal) / self._loss))

    @property
    def _loss(self) -> float:
        return math.log((1 - self.normal) / (1 - self.raised))
