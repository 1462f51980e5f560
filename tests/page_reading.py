"""Reading of the pages that `s4rec_tf.report_page` writes."""

import html
import json
import re
from html.parser import HTMLParser

VOID = {"meta"}


def plots(page):
    """The figures of a page, as Plotly gets them, by their titles."""
    found = re.findall(
        r'<div class="plot" role="img" aria-label="([^"]*)"></div>'
        r'<script type="application/json">(.*)</script>',
        page,
    )
    return {html.unescape(title): json.loads(data) for title, data in found}


def without_plotly(page):
    """A page without the packed script of Plotly."""
    start = '<script type="text/plain" id="plotly">'
    return re.sub(f"{start}.*?</script>", f"{start}</script>", page, flags=re.DOTALL)


class Page(HTMLParser):
    """Collects the text and the attributes, and holds that every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.text = [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def needs_nothing_else(page):
    """Whether a page is well formed and loads nothing, of the network or beside it."""
    parsed = Page(page)
    assert not {"src", "xlink:href", "onload"} & {name for name, _ in parsed.attributes}
    links = [value for name, value in parsed.attributes if name == "href"]
    assert all(link.startswith("#") for link in links)
    own = without_plotly(page)
    return not any(
        word in own for word in ("http:", "https:", "@import", "url(", "<link")
    )
