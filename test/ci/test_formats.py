"""The documents of --format hold what their standards and our schemas ask for, whatever the models do.

usage: pytest test_formats.py, with NEURONC naming the command
"""
import json
import os
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import onnx
import onnx.parser
import pytest

NEURONC = os.environ["NEURONC"]
ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs/schema"

GOOD = """<ir_version: 7, opset_import: ["" : 13]>
g (float[2,3] x) => (float[2,3] y) { y = Sigmoid (x) }"""
HOST = """<ir_version: 7, opset_import: ["" : 13]>
g (float[2,3] x) => (int64[2,n] y) { y = NonZero (x) }"""
UNSUPPORTED = """<ir_version: 7, opset_import: ["" : 13, "odd" : 1]>
g (float[2,3] x) => (float[2,3] y) { y = odd.Strange (x) }"""


@pytest.fixture
def models(tmp_path):
    """A folder with a good model, one with a host operation, one that is unsupported, one damaged."""
    folder = tmp_path / "some models, 50%"
    folder.mkdir()
    for name, text in (("good", GOOD), ("host", HOST), ("unsupported", UNSUPPORTED)):
        model = onnx.parser.parse_model(text)
        model.graph.node[0].name = f"node <&\"'> \x01 {name}"
        onnx.save(model, str(folder / f"{name}.onnx"))
    (folder / "damaged.onnx").write_bytes(b"no model")
    return folder


def run(*args, code, cwd=None, **more):
    result = subprocess.run([NEURONC, *map(str, args)], capture_output=True, cwd=cwd, **more)
    assert result.returncode == code, result.stderr.decode()
    return result


def validate(document, schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)


def load_schema(name):
    return json.loads((SCHEMAS / f"{name}.v1.schema.json").read_text())


@pytest.mark.parametrize("command", ["check", "compile", "verify"])
def test_json_is_of_its_schema(models, command, tmp_path):
    more = ["-o", f"{tmp_path}/out/"] if command == "compile" else []
    result = run(command, models, "--format", "json", "--max-latency-us", "1e9", *more, code=1)
    document = json.loads(result.stdout)
    validate(document, load_schema("result"))
    assert document["summary"]["models"] == 4
    assert document["exit_code"] == 1
    by_name = {Path(m["model"]).stem: m for m in document["models"]}
    assert [by_name[n]["exit_code"] for n in ("good", "host", "unsupported", "damaged")] == [0, 0, 3, 1]
    assert by_name["host"]["messages"][0]["code"] == "NEU0604"
    assert by_name["unsupported"]["messages"][0]["operator"] == "odd::Strange"
    gate = by_name["good"]["gates"][0]
    assert gate["name"] == "max-latency-us" or command == "verify"


def test_json_of_wrong_usage(tmp_path):
    document = json.loads(run("check", tmp_path, "--format", "json", code=1).stdout)
    validate(document, load_schema("result"))
    assert document["messages"][0]["code"] == "NEU0008"


def test_sarif_is_of_the_standard(models):
    document = json.loads(run("check", models, "--format", "sarif", code=1).stdout)
    validate(document, json.loads((Path(__file__).parent / "sarif.schema.json").read_text()))
    found = document["runs"][0]
    rules = found["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in found["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    page = subprocess.run([NEURONC, "explain", "NEU0203"], capture_output=True, text=True).stdout
    assert page in [rule["help"]["text"] for rule in rules]
    places = [place for result in found["results"] for place in result["locations"]]
    assert any("50%25" in place["physicalLocation"]["artifactLocation"]["uri"] for place in places)
    logical = [place["logicalLocations"][0] for place in places if "logicalLocations" in place]
    assert any(place["name"].endswith("unsupported") and place["kind"] == "odd::Strange" for place in logical)
    prints = [result["partialFingerprints"]["neuronc/v1"] for result in found["results"]]
    again = json.loads(run("check", models, "--format", "sarif", code=1).stdout)
    assert prints == [result["partialFingerprints"]["neuronc/v1"] for result in again["runs"][0]["results"]]


def test_junit_counts_and_escapes(models):
    root = ElementTree.fromstring(run("check", models, "--format", "junit", code=1).stdout)
    suite = root.find("testsuite")
    cases = suite.findall("testcase")
    failures = [case for case in cases if case.find("failure") is not None]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "0")
    assert (len(cases), len(failures)) == (4, 2)
    assert any("<&\"'>" in case.find("failure").text for case in failures)


def test_github_annotations(models):
    lines = run("check", models, "--format", "github", code=1).stdout.decode().splitlines()
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
    place = [line for line in lines if "NEU0203" in line][0]
    assert "some models%2C 50%25/unsupported.onnx,title=NEU0203 odd%3A%3AStrange::" in place
    assert "%0A" in place


def test_formats_keep_stdout_for_themselves(models):
    """Text goes to stderr in every format, and the table of `check` only to text's stdout."""
    good = models / "good.onnx"
    assert b"NeuronCore" in run("check", good, code=0).stdout
    for name in ("json", "sarif", "junit", "github"):
        result = run("check", good, "--format", name, code=0)
        assert b"Number of operations" in result.stderr and b"Number of" not in result.stdout


def test_formats_in_files(models, tmp_path):
    """One run may give several documents; they are those that stdout would get."""
    good, sarif, junit = models / "good.onnx", tmp_path / "r.sarif", tmp_path / "r.xml"
    files = ["--format", f"sarif={sarif}", "--format", f"junit={junit}"]
    assert b"NeuronCore" in run("check", good, *files, code=0).stdout
    assert json.loads(sarif.read_text())["version"] == "2.1.0"
    assert ElementTree.parse(junit).getroot().tag == "testsuites"
    both = run("check", models / "host.onnx", "--format", "github", *files, code=0).stdout
    assert both == run("check", models / "host.onnx", "--format", "github", code=0).stdout
    assert b"takes one format" in run("check", good, "--format", "json", "--format", "sarif", code=2).stderr
    assert b"not `xml`" in run("check", good, "--format", "xml", code=2).stderr
    assert b"no file follows" in run("check", good, "--format", "json=", code=2).stderr
    assert b"cannot write" in run("check", good, "--format", f"json={tmp_path}/none/r.json", code=1).stderr


def test_gates_are_named_measured_and_limited(models, tmp_path):
    neff = tmp_path / "g.neff"
    gates = ["--max-neff-bytes", "10", "--max-arena-bytes", "1e9", "--max-latency-us", "0",
             "--require-target", "x86-64-v2", "--max-host-ops", "0"]
    gates[3] = "1000000000"
    result = run("compile", models / "good.onnx", "-o", neff, "--format", "json", *gates, code=5)
    found = {g["name"]: g for g in json.loads(result.stdout)["models"][0]["gates"]}
    assert {name: g["passed"] for name, g in found.items()} == {
        "max-host-ops": True, "max-neff-bytes": False, "max-arena-bytes": True,
        "max-latency-us": False, "require-target": False}
    assert int(found["max-neff-bytes"]["measured"]) > 10
    assert found["max-neff-bytes"]["limit"] == "10"
    assert not neff.exists(), "what a gate refuses is not written"
    run("compile", models / "good.onnx", "-o", neff, "--max-neff-bytes", "1000000", code=0)
    assert neff.exists()


def test_deny_and_allow(models, tmp_path):
    host, neff = models / "host.onnx", tmp_path / "h.neff"
    denied = run("compile", host, "-o", neff, "--deny", "NEU0604", code=5)
    assert b"error[NEU0604]" in denied.stderr and not neff.exists()
    run("check", host, "--deny", "all", code=5)
    run("check", host, "--deny", "all", "--allow", "NEU0604", code=0)
    allowed = json.loads(run("check", host, "--allow", "NEU0604", "--format", "json", code=0).stdout)
    assert allowed["models"][0]["allowed_warnings"] == 1
    assert allowed["models"][0]["messages"] == []
    assert b"--deny takes the code of a warning" in run("check", host, "--deny", "NEU0203", code=2).stderr


def test_verify_gates(models):
    good = models / "good.onnx"
    run("verify", good, "--max-error", "0.1", "--min-cosine", "0.9", code=0)
    found = json.loads(run("verify", good, "--max-error", "0", "--format", "json", code=5).stdout)
    gate = [g for g in found["models"][0]["gates"] if g["name"] == "max-error"][0]
    assert not gate["passed"] and float(gate["measured"]) > 0


def test_several_models(models, tmp_path):
    """Folders, patterns and files; the worst exit code; outputs in a folder, never one over another."""
    text = run("check", models / "g*.onnx", models / "host.onnx", code=0).stderr
    assert b"2 models, 2 passed, 0 failed" in text
    assert b"FAILED (exit code 3)" in run("check", models, code=1).stderr
    run("check", models / "good.onnx", models / "unsupported.onnx", code=3)
    run("compile", models / "good.onnx", models / "host.onnx", "-o", f"{tmp_path}/o/", code=0)
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["good.neff", "host.neff"]
    (models / "b").mkdir()
    (models / "b/good.onnx").write_bytes((models / "good.onnx").read_bytes())
    clash = run("compile", models / "good.onnx", models / "b", "-o", f"{tmp_path}/o/", code=2)
    assert b"would both become" in clash.stderr
    assert b"NEU0008" in run("check", models / "none*.onnx", code=1).stderr
    assert b"is a folder" in run("compile", models / "good.onnx", models / "host.onnx", "-o", "x", code=2).stderr


def test_standard_streams(models, tmp_path):
    model = (models / "good.onnx").read_bytes()
    run("compile", models / "good.onnx", "-o", tmp_path / "file.neff", "-q", code=0)
    piped = run("compile", "-", "-o", "-", input=model, code=0, cwd=tmp_path)
    file_bytes = (tmp_path / "file.neff").read_bytes()
    assert piped.stdout[:8] == b"\x7fNEFF\r\n\x1a" and len(piped.stdout) == len(file_bytes)
    assert b"<stdin>" in run("check", "-", input=b"no model", code=1).stderr
    assert b"passed" in run("verify", "-", input=model, code=0).stdout
    assert b"needs --output" in run("compile", "-", input=model, code=2).stderr
    assert b"comes alone" in run("check", "-", models, input=model, code=2).stderr
    assert b"not both" in run("compile", "-", "-o", "-", "--format", "json", input=model, code=2).stderr


def test_diff_is_of_its_schema(models, tmp_path):
    old, new = tmp_path / "old.neff", tmp_path / "new.neff"
    run("compile", models / "good.onnx", "-o", old, "--target-cpu", "x86-64-v3", code=0)
    run("compile", models / "host.onnx", "-o", new, "--target-cpu", "x86-64-v3", code=0)
    found = json.loads(run("diff", old, new, "--json", code=0).stdout)
    validate(found, load_schema("diff"))
    assert found["figures"]["host-ops"] == {"old": 0, "new": 1, "unit": None}
    assert found["outputs"] == [{"name": "y", "old": "f32[2,3]", "new": "i64[2,?]"}]
    assert len(found["host_nodes"]) == 1
    same = json.loads(run("diff", old, old, "--json", code=0).stdout)
    assert same["kernels"] == [] and same["same_kernels"] == same["figures"]["kernels"]["new"]
    failing = run("diff", old, new, "--fail-on", "size:+500%,host-ops:+0", "--json", code=5)
    validate(json.loads(failing.stdout), load_schema("diff"))
    assert [g["passed"] for g in json.loads(failing.stdout)["gates"]] == [True, False]
    models_differ = run("diff", models / "good.onnx", models / "host.onnx", code=0).stdout.decode()
    assert "~ y: f32[2,3] -> i64[2,?]" in models_differ
    assert b"figures are size" in run("diff", old, new, "--fail-on", "beauty:+1", code=2).stderr


def test_diff_gates_are_documents_of_ci_services(models, tmp_path):
    old, new = tmp_path / "old.neff", tmp_path / "new.neff"
    run("compile", models / "good.onnx", "-o", old, "--target-cpu", "x86-64-v3", code=0)
    run("compile", models / "host.onnx", "-o", new, "--target-cpu", "x86-64-v3", code=0)
    limits = ("--fail-on", "size:+500%,host-ops:+0")
    both = run("diff", old, new, *limits, "--format", "junit", "--format", f"sarif={tmp_path / 'd.sarif'}", code=5)
    suite = next(ElementTree.fromstring(both.stdout).iter("testsuite"))
    assert suite.get("tests") == "1" and suite.get("failures") == "1"
    assert "host-ops" in "".join(suite.itertext())
    sarif = json.loads((tmp_path / "d.sarif").read_text())
    validate(sarif, json.loads((ROOT / "test/ci/sarif.schema.json").read_text()))
    assert [r["ruleId"] for r in sarif["runs"][0]["results"]] == ["NEU0904"]
    assert run("diff", old, new, *limits, "--format", "github", code=5).stdout.startswith(b"::error file=")
    assert run("diff", old, new, "--format", "json", code=0).stdout == run("diff", old, new, "--json", code=0).stdout
    absent = run("diff", old, tmp_path / "absent.neff", "--format", "junit", code=1)
    assert next(ElementTree.fromstring(absent.stdout).iter("testsuite")).get("failures") == "1"
    run("diff", old, new, "--json", "--format", "junit", code=2)


def test_compat_is_of_its_schema(models, tmp_path):
    neff = tmp_path / "v4.neff"
    run("compile", models / "good.onnx", "-o", neff, "--target-cpu", "x86-64-v4", code=0)
    schema = load_schema("compat")
    no = json.loads(run("compat", neff, "--target-cpu", "x86-64-v3", "--json", code=3).stdout)
    validate(no, schema)
    assert not no["runs"] and "avx512f" in no["targets"][0]["missing"] and no["format"] == "1.0"
    yes = json.loads(run("compat", neff, "--target-cpu", "x86-64-v4-bf16", "--json", code=0).stdout)
    validate(yes, schema)
    assert yes["target"] == "x86-64-v4"
    newer = bytearray(neff.read_bytes())
    newer[8] = 9  # the major version
    (tmp_path / "newer.neff").write_bytes(newer)
    found = json.loads(run("compat", tmp_path / "newer.neff", "--json", code=3).stdout)
    validate(found, schema)
    assert found["format"] == "9.0"
    assert b"NEU0801" in run("compat", models / "good.onnx", code=1).stderr
