"""A process that has run models forks workers, as Python's multiprocessing does on Linux; each worker runs
models of its own, and the parent's still run afterwards.

usage: multiprocess.py LIBNRT.so MODEL.neff...
"""

import ctypes
import multiprocessing
import sys


class Runtime:
    """What this test needs of libnrt."""

    def __init__(self, library):
        self.library = ctypes.CDLL(library)
        self.library.nrt_get_last_message.restype = ctypes.c_char_p
        self.check(self.library.nrt_init(1, b"", b""))

    def check(self, status):
        if status != 0:
            raise RuntimeError(f"{status}: {self.library.nrt_get_last_message().decode()}")

    def load(self, path):
        model = ctypes.c_void_p()
        self.check(self.library.nrt_load_file(path.encode(), -1, -1, ctypes.byref(model)))
        return model

    def run(self, model):
        """Runs a request on zeros; the runtime checks what it is given."""
        inputs, outputs = ctypes.c_void_p(), ctypes.c_void_p()
        self.check(self.library.nrt_allocate_tensor_set(ctypes.byref(inputs)))
        self.check(self.library.nrt_allocate_tensor_set(ctypes.byref(outputs)))
        return self.library.nrt_execute(model, inputs, outputs)


MISSING_TENSOR = 1002
OTHER_PROCESS = 3


def work(library, path, parents_model):
    runtime = Runtime(library)
    assert runtime.run(parents_model) == OTHER_PROCESS
    assert "load it again" in runtime.library.nrt_get_last_message().decode()
    assert runtime.run(runtime.load(path)) == MISSING_TENSOR
    runtime.library.nrt_close()


def main():
    library, paths = sys.argv[1], sys.argv[2:]
    runtime = Runtime(library)
    models = [runtime.load(path) for path in paths]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(library, path, model))
               for path, model in zip(paths, models) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    codes = [worker.exitcode for worker in workers]
    assert codes == [0] * len(codes), f"exit codes {codes}"
    assert all(runtime.run(model) == MISSING_TENSOR for model in models)


main()
