"""The report: one HTML file with pictures, curves and plain words, which an engineer can mail.

`page` gathers what is shown and writes the file; `advice` and `words` say it; `learned` and `gallery` prepare the
pictures; `plots` draws the curves; `report.html.jinja` puts it on the page.
"""
