"""The build backend of pyproject.toml (PEP 517): a wheel of what CMake built.

The wheel holds the package with libneuronc and libnrt beside the extension module, which finds them by its own
place; nothing has to be set. `pip install . --config-settings build-dir=DIR` takes another build than build/release.
"""
import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _version():
    text = (ROOT / "CMakeLists.txt").read_text()
    return re.search(r"project\(neuronc VERSION (\S+)", text).group(1)


def _tag():
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{version}-{version}-{platform}"


def _metadata():
    return (f"Metadata-Version: 2.1\nName: neuronc\nVersion: {_version()}\n"
            "Summary: Compiles ONNX models for NeuronCores, and runs them\nLicense: Apache-2.0\n"
            "Requires-Python: >=3.9\nRequires-Dist: numpy\n"
            "Provides-Extra: types\nRequires-Dist: ml_dtypes; extra == 'types'\n"
            "Provides-Extra: onnx\nRequires-Dist: onnx; extra == 'onnx'\n")


def _wheel_file():
    return f"Wheel-Version: 1.0\nGenerator: neuronc\nRoot-Is-Purelib: false\nTag: {_tag()}\n"


def _build_dir(settings):
    given = (settings or {}).get("build-dir") or os.environ.get("NEURONC_BUILD_DIR") or "build/release"
    return (ROOT / given).resolve()


def _run(*command):
    # pip hides installed packages from build backends by PYTHONPATH; CMake asks the interpreter for numpy. What pip
    # shows when something fails is our stdout.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([str(word) for word in command], cwd=ROOT, check=True, stderr=subprocess.STDOUT, env=env)


def _build(build):
    """Configures the build where it is not, for this very interpreter, and builds the package."""
    if not (build / "CMakeCache.txt").exists():
        _run("cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
             f"-DPython3_EXECUTABLE={sys.executable}")
    _run("cmake", "--build", build, "--target", "neuronc_python", "neuronc_images")


def _collect(build, package):
    """The package as a wheel holds it: libraries under the names by which they are looked for."""
    shutil.copytree(build / "python/neuronc", package, ignore=shutil.ignore_patterns("__pycache__"))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    if not (package / f"_neuronc{suffix}").exists():
        raise RuntimeError(f"{build} has no extension module for this Python ({suffix}); is pybind11-dev "
                           "there, and was it configured for another interpreter?")
    # The image pack serves where the codecs' libraries are.
    for library in ("libneuronc", "libnrt", "libneuronc_images"):
        (link,) = [p for p in (build / "lib").glob(f"{library}.so.*") if p.is_symlink()]
        shutil.copy(link.resolve(), package / link.name)
    for path in package.glob("*.so*"):
        # Found beside whoever asks, wherever the wheel is installed; the link editor left room for it.
        _run("cmake", f"-DFILE={path}", f"-DOLD={_rpath(path)}", "-P", ROOT / "python/set_rpath.cmake")


def _rpath(path):
    shown = subprocess.run(["readelf", "-d", str(path)], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(?:RUNPATH|RPATH)\).*\[(.*)\]", shown)
    return found.group(1) if found else ""


def _record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    name = f"neuronc-{_version()}.dist-info"
    folder = Path(metadata_directory) / name
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(_metadata())
    (folder / "WHEEL").write_text(_wheel_file())
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    build = _build_dir(config_settings)
    _build(build)
    name = f"neuronc-{_version()}-{_tag()}.whl"
    info = f"neuronc-{_version()}.dist-info"
    with tempfile.TemporaryDirectory() as scratch:
        package = Path(scratch) / "neuronc"
        _collect(build, package)
        files = {f"neuronc/{p.name}": p.read_bytes() for p in sorted(package.iterdir())}
    files[f"{info}/METADATA"] = _metadata().encode()
    files[f"{info}/WHEEL"] = _wheel_file().encode()
    files[f"{info}/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    record = "".join(_record_line(path, data) for path, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    with zipfile.ZipFile(Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path)  # of a fixed date: the same build gives the same wheel
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
    return name


def build_sdist(sdist_directory, config_settings=None):
    name = f"neuronc-{_version()}"
    path = Path(sdist_directory) / f"{name}.tar.gz"
    _run("git", "archive", "--format=tar.gz", f"--prefix={name}/", f"--output={path}", "HEAD")
    return path.name
