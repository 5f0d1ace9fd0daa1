"""The report: one HTML file that an engineer can mail, with pictures, curves and plain words.

`page` gathers what is shown, `words` says it, `heat` and `plots` draw it, `report.html.jinja` lays it out.
"""

from andon_trainer.report.page import write_report

__all__ = ["write_report"]
