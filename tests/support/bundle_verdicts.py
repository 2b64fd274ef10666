"""Lets examples/audit/verify_bundle.py judge many bundles in one process.

    bundle_verdicts.py SCRIPT FOLDER [PEM]

Prints a line for each file of the folder: its name, the exit code that the script has for it, and how
many events are chained only.
"""
import importlib.util
import os
import re
import sys
from base64 import b64decode

spec = importlib.util.spec_from_file_location("verify_bundle", sys.argv[1])
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
pem = open(sys.argv[3]).read() if len(sys.argv) > 3 else ""
keys = [b64decode(key) for key in re.findall("BEGIN PUBLIC KEY-----(.*?)-----END", pem, re.S)]
for name in sorted(os.listdir(sys.argv[2])):
    try:
        bundle, found = script.verify(os.path.join(sys.argv[2], name), keys)
        print(name, 1 if found else 0, bundle.counts["unsigned_events"])
    except (ValueError, AssertionError):
        print(name, 2, 0)
