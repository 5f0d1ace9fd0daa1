"""The files of Prometheus and Alertmanager for one machine without containers: python deploy/local.py writes them.

They are those of the containers, with addresses of this machine.
"""

from pathlib import Path

HERE = Path(__file__).parent
HEADING = "# Written by deploy/local.py: as {}, on one machine without containers.\n"
MONITOR = """    static_configs:
      - targets: ["127.0.0.1:9464"] # one address for each monitor
"""


def render() -> dict[str, str]:
    """Each file's content by its path under deploy/."""
    prometheus = (HERE / "prometheus" / "prometheus.yml").read_text()
    before, _, found = prometheus.partition("    dns_sd_configs:\n")
    _, comment, after = found.partition("    # Where server.certificate_file")
    prometheus = before + MONITOR + comment + after.replace("/etc/prometheus/ca.pem", "ca.pem")
    alertmanager = (HERE / "alertmanager" / "alertmanager.yml").read_text()
    return {
        "prometheus/local.yml": HEADING.format("prometheus.yml")
        + prometheus.replace("alertmanager:9093", "127.0.0.1:9093"),
        "alertmanager/local.yml": HEADING.format("alertmanager.yml")
        + alertmanager.replace("http://receiver:9095", "http://127.0.0.1:9095"),
    }


if __name__ == "__main__":
    for name, content in render().items():
        (HERE / name).write_text(content)
