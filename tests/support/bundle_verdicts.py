"""Lets examples/audit/verify_bundle.py judge many bundles in one process.

    bundle_verdicts.py SCRIPT FOLDER [--allow-unsigned]

Prints a line for each file of the folder: its name, the exit code that the script has for it, and how
many events are chained only.
"""
import importlib.util
import os
import sys

spec = importlib.util.spec_from_file_location("verify_bundle", sys.argv[1])
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
lenient = "--allow-unsigned" in sys.argv
for name in sorted(os.listdir(sys.argv[2])):
    try:
        bundle, found = script.verify(os.path.join(sys.argv[2], name), allow_unsigned=lenient)
        print(name, 1 if found else 0, bundle.counts["unsigned_events"])
    except (ValueError, AssertionError):
        print(name, 2, 0)
