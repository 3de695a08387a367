"""Runs a command with a terminal as its standard error, and prints what came there.

usage: on_terminal.py COMMAND...
"""
import os
import pty
import subprocess
import sys

terminal, command_end = pty.openpty()
process = subprocess.Popen(sys.argv[1:], stderr=command_end, stdout=subprocess.DEVNULL)
os.close(command_end)
text = b""
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:  # the other end is closed
        break
    if not part:
        break
    text += part
print(text.replace(b"\r", b"\n").decode())
sys.exit(process.wait())
