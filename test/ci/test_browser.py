"""The pages of --report and `neuron-profile view` opened in a real browser, without a network: their scripts end
without an error, load nothing, and what they draw has a place that can be seen.

Skipped, and says so, where no Chromium is installed (Debian: chromium); it is too large for what all tests need.
    test_browser.py BIN_FOLDER BROWSER_OR_EMPTY WORK_FOLDER
"""
import html
import json
import pathlib
import re
import subprocess
import sys

BIN, BROWSER, WORK = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
GLYPHS = pathlib.Path(__file__).parent.parent.parent / "examples/glyphs/glyphs.onnx"
SKIPPED = 77

# Before the page's own script, and behind it. A box without a place, or outside of its frame, is listed as unseen.
WATCH = "<script>window.errors = []; window.onerror = (text) => { window.errors.push(text) };</script>"
LOOK = """<script>
window.addEventListener('load', () => {
const box = (e) => e.getBoundingClientRect();
const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
const unseen = [];
for (const e of document.querySelectorAll('h1, h2, p, table, tr, td, svg, rect, .bar')) {
  const b = box(e), frame = e.tagName == 'rect' ? box(e.closest('svg')) : null;
  if (b.height <= 0 || b.width < 0 || (frame ? !inside(b, frame) : b.width == 0 && e.textContent != '')) {
    unseen.push(`${e.tagName} ${e.id} ${e.textContent.slice(0, 40)}`);
  }
}
const found = {unseen, errors: window.errors, title: document.title,
               loaded: [...performance.getEntriesByType('resource').map((e) => e.name),
                        ...[...document.querySelectorAll('[src], link')].map((e) => e.outerHTML)], count: {},
               spread: [...document.querySelectorAll('svg')].map((s) => [...s.querySelectorAll('rect')]
                   .reduce((sum, r) => sum + box(r).width, 0) / box(s).width),
               text: document.body.innerText};
for (const e of document.querySelectorAll('*')) found.count[e.localName] = (found.count[e.localName] || 0) + 1;
const out = document.createElement('pre');
out.id = 'found';
out.textContent = JSON.stringify(found);
document.body.append(out);
});
</script>"""


def open_page(path):
    """What the browser made of the page."""
    text = path.read_text()
    assert text.count("<head>") == 1 and text.count("</body>") == 1, path
    watched = path.with_suffix(".watched.html")
    watched.write_text(text.replace("<head>", "<head>" + WATCH).replace("</body>", LOOK + "</body>"))
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={WORK / 'browser'}", "--window-size=1200,900",
         "--virtual-time-budget=5000", "--dump-dom", watched.resolve().as_uri()],
        capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    assert match, (path, done.stdout[-2000:], done.stderr[-2000:])
    found = json.loads(html.unescape(match[1]))
    assert found["errors"] == [] and found["loaded"] == [] and found["unseen"] == [], (path, found)
    return found


def run(*command):
    subprocess.run(list(map(str, command)), check=True, cwd=WORK)


def check_report():
    for name in ("page.html", "report.json"):
        run(BIN / "neuronc", GLYPHS, "-q", "-o", "two.neff", "--num-neuroncores", 2, "--partition", "pipeline",
            "--target-cpu", "x86-64-v3", "--report", name)
    report = json.loads((WORK / "report.json").read_text())
    found = open_page(WORK / "page.html")
    partition = report["partition"]
    assert found["count"]["rect"] == len(report["timeline"]) > 0, found["count"]
    assert found["count"]["tr"] == 3 + 2 * len(partition["cores"]) + len(partition["table"]), found["count"]
    for row in partition["table"]:
        assert row["more_cores"] in found["text"], row
    # One request passes through the stages one after the other: its steps fill the width once, but for hand-overs.
    assert 0.5 < found["spread"][0] <= 1.01, found["spread"]


def check_profile():
    run(BIN / "neuron-profile", "run", "two.neff", "-o", "trace.json", "--requests", 6, "--inflight", 3)
    run(BIN / "neuron-profile", "view", "trace.json", "-o", "profile.html")
    trace = json.loads((WORK / "trace.json").read_text())
    found = open_page(WORK / "profile.html")
    steps = {(e["args"]["lane"], e["args"]["step"]) for e in trace["traceEvents"] if e["ph"] == "X" and e["pid"] == 1}
    assert found["count"]["svg"] == 2 and found["count"]["rect"] > len(steps), found["count"]
    assert trace["profile"]["model"] in found["text"], found["text"][:500]

    # A core that had to wait since long before the request that is shown, and predictions of ten times as long.
    for event in trace["traceEvents"]:
        if event["ph"] == "X" and event["pid"] == 1:
            event["ts"], event["dur"] = event["ts"] - 500, event["dur"] + 1000
        elif event["ph"] == "X":
            event["ts"], event["dur"] = event["ts"] * 10, event["dur"] * 10
    (WORK / "waiting.json").write_text(json.dumps(trace))
    run(BIN / "neuron-profile", "view", "waiting.json", "-o", "waiting.html")
    open_page(WORK / "waiting.html")


def check_the_check():
    """A page that fails is seen to fail."""
    for broken in ("<script>nothing()</script>", '<img src="absent.png">', '<svg width="9" height="9"><rect x="99" '
                   'width="5" height="5"></rect></svg>'):
        page = WORK / "broken.html"
        page.write_text(f"<!DOCTYPE html><html><head></head><body><h1>x</h1>{broken}</body></html>")
        try:
            open_page(page)
        except AssertionError:
            continue
        raise AssertionError(f"{broken} was not noticed")


def main():
    if not BROWSER or BROWSER.endswith("-NOTFOUND"):
        print("skipped: no Chromium is installed")
        return SKIPPED
    WORK.mkdir(parents=True, exist_ok=True)
    check_report()
    check_profile()
    check_the_check()
    return 0


sys.exit(main())
