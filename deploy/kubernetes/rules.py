"""The rules of deploy/prometheus as a PrometheusRule: python deploy/kubernetes/rules.py writes base/rules.yaml."""

from pathlib import Path

HERE = Path(__file__).parent
HEADING = """# Written by deploy/kubernetes/rules.py from deploy/prometheus/rules.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: andon}
spec:
  groups:
"""


def render() -> str:
    """The manifest."""
    groups = ""
    for path in sorted((HERE.parent / "prometheus" / "rules").glob("*.yml"), reverse=True):
        _, _, body = path.read_text().partition("\ngroups:\n")
        groups += "".join(f"  {line}" if line.strip() else line for line in body.splitlines(keepends=True))
    return HEADING + groups


if __name__ == "__main__":
    (HERE / "base" / "rules.yaml").write_text(render())
