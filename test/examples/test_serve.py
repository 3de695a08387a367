"""Eight requests with three in flight give, in order, what runs of one request each give.

usage: test_serve.py SERVE GLYPHS.neff
"""
import subprocess
import sys

import numpy as np

serve, neff = sys.argv[1:]
requests = np.random.default_rng(1).standard_normal((8, 3 * 32 * 32)).astype(np.float32)


def run(data, in_flight):
    found = subprocess.run([serve, neff, str(in_flight)], input=data, capture_output=True)
    return found.returncode, found.stdout, found.stderr.decode()


code, together, said = run(requests.tobytes(), 3)
assert code == 0 and "8 requests, 3 in flight" in said, said
alone = [run(request.tobytes(), 1)[1] for request in requests]
assert together == b"".join(alone) and len(set(alone)) == 8
code, _, said = run(requests.tobytes()[:-1], 2)
assert code == 1 and "cut off" in said, said
assert run(b"", 2)[0] == 0
assert subprocess.run([serve, neff, "0"], capture_output=True).returncode == 2
assert subprocess.run([serve, "absent.neff"], capture_output=True).returncode == 1
