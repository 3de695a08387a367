"""What the pages that the commands write have in common: strict markup without a network, and a script that node
runs in a document of its own (page_dom.js)."""
import html.parser
import json
import pathlib
import subprocess

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Strict(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            assert name not in ("src", "href"), f"<{tag}> reads {value}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


def run_page(node, path):
    """Checks the page's markup; what its script made: {"elements": {...}, "texts": [...]}."""
    parser = Strict()
    parser.feed(pathlib.Path(path).read_text())
    parser.close()
    assert parser.open == [], parser.open
    here = pathlib.Path(__file__).parent
    return json.loads(subprocess.run([node, here / "page_dom.js", path], check=True, capture_output=True,
                                     text=True).stdout)
