"""--report FILE.html is one well-formed page that needs no network and shows what the JSON report says.

No browser is packaged with the tests: strict_page.py takes its place.
    test_report_page.py NEURONC NODE WORK_FOLDER
"""
import json
import pathlib
import subprocess
import sys

from strict_page import run_page


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
    made = run_page(node, work / "page.html")
    partition = report["partition"]
    assert made["elements"]["rect"] == len(report["timeline"]) > 0, made["elements"]
    # Header and a line: of two tables by core, of one by number of cores.
    assert made["elements"]["tr"] == 3 + 2 * len(partition["cores"]) + len(partition["table"]), made["elements"]
    for row in partition["table"]:
        assert f"{row['latency_ns'] / 1000:.1f}" in made["texts"], row
        assert row["more_cores"] in made["texts"], row
    assert made["elements"]["span"] == 2 * len(partition["cores"])


main()
