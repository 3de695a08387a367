"""What is ready for CI services does its work: the shell steps of the action, of GitLab's template and of the
pre-commit hooks are executed as the services do, without the services.

usage: pytest test_services.py, with NEURONC naming the command
"""
import json
import os
import re
import shlex
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import onnx
import onnx.parser
import pytest
import yaml

NEURONC = os.environ["NEURONC"]
ROOT = Path(__file__).resolve().parents[2]
GOOD = """<ir_version: 7, opset_import: ["" : 13]>
g (float[2,3] x) => (float[2,3] y) { y = Sigmoid (x) }"""
HOST = """<ir_version: 7, opset_import: ["" : 13]>
g (float[2,3] x) => (int64[2,n] y) { y = NonZero (x) }"""


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "work/my models"
    folder.mkdir(parents=True)
    for name, text in (("good", GOOD), ("host", HOST)):
        onnx.save(onnx.parser.parse_model(text), str(folder / f"{name}.onnx"))
    return folder


class Action:
    """The steps of action.yml, run as the service documents it: bash -e -o pipefail, files for outputs."""

    def __init__(self, work, **inputs):
        self.text = yaml.safe_load((ROOT / "action.yml").read_text())
        assert set(inputs) <= {name.replace("-", "_") for name in self.text["inputs"]}
        self.work = work
        self.values = {f"inputs.{name}": inputs.get(name.replace("-", "_"), entry.get("default", ""))
                       for name, entry in self.text["inputs"].items()}
        self.values["github.action_path"] = str(ROOT)

    def resolve(self, text):
        return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: self.values[match[1]], text)

    def run(self, code):
        summary = self.work / "summary"
        for number, step in enumerate(self.text["runs"]["steps"]):
            assert step["shell"] == "bash" and "${{" not in step["run"], "inputs come by the environment alone"
            outputs, script = self.work / f"outputs{number}", self.work / f"step{number}.sh"
            outputs.touch()
            script.write_text(step["run"])
            env = {**os.environ, **{k: self.resolve(v) for k, v in step["env"].items()},
                   "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
            found = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], env=env,
                                   cwd=self.work / "work", capture_output=True, text=True)
            for line in outputs.read_text().splitlines():
                name, value = line.split("=", 1)
                self.values[f"steps.{step['id']}.outputs.{name}"] = value
            if found.returncode != 0:
                break
        assert found.returncode == code, found.stdout + found.stderr
        return found.stdout, summary.read_text() if summary.exists() else ""


def test_action_checks(models, tmp_path):
    action = Action(tmp_path, neuronc=NEURONC, models="my models", options="--max-host-ops\n0\n")
    out, summary = action.run(code=5)
    assert "::error file=my models/host.onnx,title=NEU0903" in out
    assert "2 models, 1 passed, 1 failed" in summary
    assert action.resolve(action.text["outputs"]["exit-code"]["value"]) == "5"
    sarif = json.loads((tmp_path / "work" / action.resolve(action.text["outputs"]["sarif"]["value"])).read_text())
    assert sarif["runs"][0]["results"][0]["ruleId"].startswith("NEU")
    assert ElementTree.parse(tmp_path / "work/neuronc.xml").find("testsuite").get("failures") == "1"


def test_action_compiles_with_a_cache(models, tmp_path):
    inputs = {"neuronc": NEURONC, "command": "compile", "models": "my models/good.onnx", "cache_dir": "kept"}
    Action(tmp_path, **inputs).run(code=0)
    assert (tmp_path / "work/neff/good.neff").stat().st_size > 0
    assert "taken from the cache" in Action(tmp_path, **inputs).run(code=0)[1]
    Action(tmp_path, neuronc=NEURONC, models="my models/good.onnx", command="verify").run(code=0)
    assert "not format" in Action(tmp_path, neuronc=NEURONC, command="format").run(code=2)[0]


def test_action_takes_the_command_from_path(models, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(NEURONC).parent}:{os.environ['PATH']}")
    Action(tmp_path, models="my models/good.onnx").run(code=0)


def run_gitlab(work, code, **variables):
    job = yaml.safe_load((ROOT / "ci/neuronc.gitlab-ci.yml").read_text())[".neuronc"]
    given = {"CI_PROJECT_DIR": str(work)}
    for name, value in {**job["variables"], **variables}.items():
        given[name] = value.replace("$CI_PROJECT_DIR", str(work))
    env = {**os.environ, **given, "PATH": f"{Path(NEURONC).parent}:{os.environ['PATH']}"}
    # Runners pass the lines to one shell, which ends at the first that fails.
    found = subprocess.run(["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])], env=env, cwd=work,
                           capture_output=True, text=True)
    assert found.returncode == code, found.stdout + found.stderr
    return job, found


def test_gitlab(models, tmp_path):
    work = tmp_path / "work"
    job, found = run_gitlab(work, 5, NEURONC_OPTIONS="--max-host-ops 0")
    assert "NEU0903" in found.stderr
    report = ElementTree.parse(work / job["artifacts"]["reports"]["junit"]).find("testsuite")
    assert (report.get("tests"), report.get("failures")) == ("2", "1")
    models.rename(work / "m")
    compiled = {"NEURONC_COMMAND": "compile", "NEURONC_MODELS": "m/g*.onnx"}
    run_gitlab(work, 0, **compiled)
    assert (work / "neff/good.neff").exists() and (work / job["cache"]["paths"][0]).is_dir()
    assert "taken from the cache" in run_gitlab(work, 0, **compiled)[1].stderr


@pytest.mark.parametrize("hook", yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text()), ids=lambda h: h["id"])
def test_pre_commit_hooks(models, hook):
    """pre-commit calls the entry with the names of changed files that match behind it."""
    assert {"id", "name", "entry", "language", "files"} <= hook.keys() and hook["language"] == "system"
    names = [str(p) for p in sorted(models.iterdir()) if re.search(hook["files"], p.name)]
    assert len(names) == 2
    words = shlex.split(hook["entry"])
    env = {**os.environ, "PATH": f"{Path(NEURONC).parent}:{os.environ['PATH']}"}
    good = [name for name in names if "good" in name]
    assert subprocess.run(words + good, env=env, capture_output=True).returncode == 0
    (models / "damaged.onnx").write_bytes(b"no model")
    found = subprocess.run([*words, *names, str(models / "damaged.onnx")], env=env, capture_output=True)
    assert found.returncode == 1 and b"damaged.onnx" in found.stderr
