"""neuron-profile: its trace holds every step of every request, in order and with the model's nodes behind it; its
summary agrees with the trace, and its page shows both.
    test_profile.py BIN_FOLDER NODE WORK_FOLDER
"""
import collections
import json
import pathlib
import re
import subprocess
import sys

from strict_page import run_page

BIN, NODE, WORK = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
GLYPHS = pathlib.Path(__file__).parent.parent.parent / "examples/glyphs/glyphs.onnx"
MEASURED, PREDICTED = 1, 2


def run(*command, status=0):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=WORK)
    assert done.returncode == status, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def check_trace(name, cores, requests, lanes_a_core=1):
    trace = json.loads((WORK / f"{name}.json").read_text())
    profile, events = trace["profile"], trace["traceEvents"]
    assert profile["requests"] == requests and profile["dropped_requests"] == 0, profile
    spans = collections.defaultdict(dict)
    threads = collections.defaultdict(list)
    for event in events:
        if event["ph"] in "be":
            spans[event["id"]][event["ph"]] = event["ts"]
        elif event["ph"] == "X":
            threads[event["pid"], event["tid"]].append(event)
    assert len(spans) == requests and all(span["b"] < span["e"] for span in spans.values())
    assert {tid for pid, tid in threads if pid == MEASURED} == set(range(cores)), threads.keys()
    for (pid, tid), steps in list(threads.items()):
        # What overlaps on a thread is drawn as nested.
        steps.sort(key=lambda e: e["ts"])
        for a, b in zip(steps, steps[1:]):
            assert a["ts"] + a["dur"] <= b["ts"] + 1e-2, (pid, tid, a, b)
        if pid != MEASURED:
            continue
        predicted = threads.get((PREDICTED, tid))
        if lanes_a_core == 1 and predicted:
            # Every request does what is predicted, step by step.
            assert len(steps) == requests * len(predicted), (tid, len(steps), len(predicted))
            for request in range(requests):
                names = [e["name"] for e in steps if e["args"]["request"] == request]
                assert names == [e["name"] for e in predicted], (request, names)
        for e in steps:
            span = spans[e["args"]["request"]]
            assert span["b"] <= e["ts"] + 1e-2 and e["ts"] + e["dur"] <= span["e"] + 1e-2, (span, e)
    kernels = [e for e in events if e["ph"] == "X" and e["cat"] == "kernel"]
    assert kernels and all(e["args"]["bytes_read"] > 0 for e in kernels)
    assert all(e["args"]["predicted_us"] > 0 and e["args"]["nodes"] for e in kernels), kernels[0]
    return trace


def check_flops(trace, expected):
    """Shares of a kernel add up to its work."""
    sums = sum(e["args"]["flops"] for e in trace["traceEvents"]
               if e["ph"] == "X" and e["pid"] == PREDICTED and e["cat"] == "kernel")
    assert abs(sums - expected) <= 1e-6 * expected, (sums, expected)


def check_page(name):
    run(BIN / "neuron-profile", "view", f"{name}.json", "-o", f"{name}.html")
    made = run_page(NODE, WORK / f"{name}.html")
    trace = json.loads((WORK / f"{name}.json").read_text())
    steps = {(e["args"]["lane"], e["args"]["step"]) for e in trace["traceEvents"]
             if e["ph"] == "X" and e["pid"] == MEASURED}
    cores = {e["tid"] for e in trace["traceEvents"] if e["ph"] == "X" and e["pid"] == MEASURED}
    assert made["elements"]["svg"] == 2 and made["elements"]["rect"] > len(steps), made["elements"]
    # Headers, cores and steps.
    assert made["elements"]["tr"] == 2 + len(cores) + len(steps), made["elements"]
    assert trace["profile"]["model"] in made["texts"]


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    compile_ = [BIN / "neuronc", GLYPHS, "-q", "--target-cpu", "x86-64-v3"]
    flops = None
    for name, cores, options in (("one", 1, []), ("pipeline", 2, ["--partition", "pipeline"]),
                                 ("tensor", 2, ["--partition", "tensor"])):
        run(*compile_, "--num-neuroncores", cores, *options, "-o", f"{name}.neff")
        text = run(BIN / "neuron-profile", "run", f"{name}.neff", "-o", f"{name}.json", "--requests", 6,
                   "--inflight", 3 if cores > 1 else 1)
        trace = check_trace(name, cores, 6)
        if flops is None:
            flops = sum(e["args"]["flops"] for e in trace["traceEvents"] if e["ph"] == "X" and e["pid"] == PREDICTED
                        and e["cat"] == "kernel")
        check_flops(trace, flops)
        assert re.search(r"^prediction of kernels: median error \d+\.\d %", text, re.M), text
        assert len(re.findall(r"^core \d+ +\d+\.\d% +\d+\.\d% +\d+\.\d%", text, re.M)) == cores, text
        assert ("slowest stage: " in text) == (name == "pipeline"), text
        # Printed from the file, it is the same.
        assert run(BIN / "neuron-profile", "view", f"{name}.json") == text
        check_page(name)
    # Groups of cores have tracks of their own.
    run(BIN / "neuron-profile", "run", "one.neff", "-o", "groups.json", "--requests", 12, "--inflight", 4, "--cores", 2)
    check_trace("groups", 2, 12, lanes_a_core=0)

    assert "-o" in run(BIN / "neuron-profile", "run", "one.neff", status=2)
    (WORK / "other.json").write_text("{\"traceEvents\": []}")
    (WORK / "broken.json").write_text((WORK / "one.json").read_text()[:1000])
    for bad in ("other.json", "broken.json"):
        assert "no profile" in run(BIN / "neuron-profile", "view", bad, status=1)
    assert "absent.json" in run(BIN / "neuron-profile", "view", "absent.json", status=1)
    run(BIN / "neuron-profile", "view", "one.json", "-o", "one.json", status=2)
    assert "/no/folder" in run(BIN / "neuron-profile", "run", "one.neff", "-o", "/no/folder/t.json", status=1)
    # A trace of which an entry has another type.
    trace = json.loads((WORK / "one.json").read_text())
    for value in (None, 7, "x", [], {"ts": "x"}, {"ph": "X", "args": 3, "dur": 1e300, "ts": -1e300, "pid": 1}):
        trace["traceEvents"].append(value)
    (WORK / "odd.json").write_text(json.dumps(trace))
    run(BIN / "neuron-profile", "view", "odd.json", "-o", "odd.html")


main()
