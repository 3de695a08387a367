"""--report FILE.html is one well-formed page that needs no network and shows what the JSON report says.

No browser is packaged with the tests: its markup is checked strictly, and its script is run by node in a
document of its own (page_dom.js).
    test_report_page.py NEURONC NODE WORK_FOLDER
"""
import html.parser
import json
import pathlib
import subprocess
import sys

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


def main():
    neuronc, node, work = sys.argv[1:4]
    work = pathlib.Path(work)
    work.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path(__file__).parent
    glyphs = here.parent.parent / "examples/glyphs/glyphs.onnx"
    for name in ("page.html", "report.json"):
        subprocess.run([neuronc, glyphs, "-q", "-o", work / "m.neff", "--num-neuroncores", "2", "--partition",
                        "pipeline", "--target-cpu", "x86-64-v3", "--report", work / name], check=True)
    report = json.loads((work / "report.json").read_text())
    page = (work / "page.html").read_text()
    parser = Strict()
    parser.feed(page)
    parser.close()
    assert parser.open == [], parser.open
    made = json.loads(subprocess.run([node, here / "page_dom.js", work / "page.html"], check=True,
                                     capture_output=True, text=True).stdout)
    partition = report["partition"]
    assert made["elements"]["rect"] == len(report["timeline"]) > 0, made["elements"]
    # Header and a line: of two tables by core, of one by number of cores.
    assert made["elements"]["tr"] == 3 + 2 * len(partition["cores"]) + len(partition["table"]), made["elements"]
    for row in partition["table"]:
        assert f"{row['latency_ns'] / 1000:.1f}" in made["texts"], row
        assert row["more_cores"] in made["texts"], row
    assert made["elements"]["span"] == 2 * len(partition["cores"])


main()
