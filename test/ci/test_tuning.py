"""--tune: what was measured once is taken again, byte for byte, and no broken file stops a compile.

usage: pytest test_tuning.py, with NEURONC naming the command and MODEL a model with convolutions
"""
import json
import os
import subprocess
from pathlib import Path

import pytest

NEURONC = os.environ["NEURONC"]
MODEL = os.environ["MODEL"]


def compile_model(here, *args, out="m.neff", env=None):
    command = [NEURONC, MODEL, "-o", out, "--format", "json", "--tune", *args]
    result = subprocess.run(command, cwd=here, capture_output=True, text=True,
                            env={**os.environ, **(env or {})})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["models"][0], (here / out).read_bytes()


def codes(model):
    return [message["code"] for message in model["messages"]]


def test_the_same_file_gives_the_same_bytes(tmp_path):
    first, first_bytes = compile_model(tmp_path, "--tune-file", "t.txt")
    kept = (tmp_path / "t.txt").read_text()
    assert kept.startswith("neuronc-tuning 1\n") and len(kept.splitlines()) > 1
    second, second_bytes = compile_model(tmp_path, "--tune-file", "t.txt", out="n.neff")
    assert first_bytes == second_bytes
    assert (tmp_path / "t.txt").read_text() == kept
    assert codes(first) == codes(second) == ["NEU0709"]
    assert first["messages"][0] == second["messages"][0]


def test_a_choice_is_never_slower_than_the_prediction(tmp_path):
    compile_model(tmp_path, "--tune-file", "t.txt")
    for line in (tmp_path / "t.txt").read_text().splitlines()[1:]:
        _, _, _, blocking, predicted_ns, chosen_ns, _ = line.split()
        assert int(chosen_ns) <= int(predicted_ns), line


def test_choices_lie_beside_cached_results(tmp_path):
    first, first_bytes = compile_model(tmp_path, "--cache-dir", "cache")
    assert (tmp_path / "cache" / "tuning.txt").exists()
    second, second_bytes = compile_model(tmp_path, "--cache-dir", "cache", out="n.neff")
    assert (first["is_from_cache"], second["is_from_cache"]) == (False, True)
    assert first_bytes == second_bytes
    # Other choices are another result.
    table = (tmp_path / "cache" / "tuning.txt").read_text().replace(" - ", " vectors=3 ")
    (tmp_path / "cache" / "tuning.txt").write_text(table)
    third, _ = compile_model(tmp_path, "--cache-dir", "cache", out="o.neff")
    assert not third["is_from_cache"]


def test_the_user_s_cache_folder_is_the_default(tmp_path):
    compile_model(tmp_path, env={"XDG_CACHE_HOME": str(tmp_path / "xdg"), "NEURONC_CACHE": ""})
    assert (tmp_path / "xdg" / "neuronc" / "tuning.txt").exists()
    compile_model(tmp_path, env={"XDG_CACHE_HOME": "", "HOME": str(tmp_path), "NEURONC_CACHE": ""})
    assert (tmp_path / ".cache" / "neuronc" / "tuning.txt").exists()


@pytest.mark.parametrize("text, is_ours", [("\x00\x01 no such file", False),
                                           ("neuronc-tuning 1\nhalf a li", True)])
def test_a_broken_file_is_a_warning(tmp_path, text, is_ours):
    (tmp_path / "t.txt").write_text(text)
    model, _ = compile_model(tmp_path, "--tune-file", "t.txt")
    assert codes(model) == ["NEU0708", "NEU0709"]
    assert ((tmp_path / "t.txt").read_text() == text) != is_ours


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "plain").write_text("")
    model, _ = compile_model(tmp_path, "--tune-file", "plain/t.txt")
    assert codes(model) == ["NEU0708", "NEU0709"]


def test_jobs_share_a_file(tmp_path):
    command = [NEURONC, MODEL, "-q", "--tune", "--tune-file", "t.txt", "-o"]
    jobs = [subprocess.Popen([*command, f"p{i}.neff"], cwd=tmp_path) for i in range(3)]
    assert [job.wait() for job in jobs] == [0, 0, 0]
    # What was written first counts for all of them.
    assert len({(tmp_path / f"p{i}.neff").read_bytes() for i in range(3)}) == 1


def test_what_cannot_run_here_is_not_measured(tmp_path):
    has_amx = "amx_bf16" in Path("/proc/cpuinfo").read_text()
    model, _ = compile_model(tmp_path, "--tune-file", "t.txt", "--target-cpu", "x86-64-v4-amx")
    assert ("NEU0710" in codes(model)) or has_amx


def test_a_file_without_tuning_is_refused(tmp_path):
    result = subprocess.run([NEURONC, MODEL, "--tune-file", "t.txt"], cwd=tmp_path,
                            capture_output=True, text=True)
    assert result.returncode == 2 and "--tune-file has no effect without --tune" in result.stderr
