"""count-tests: nothing that failed or was skipped may be counted as passed."""
import contextlib
import io
import json
import os
import pathlib
import tempfile
import unittest

from script import load

script = load("count-tests")

CMOCKA = """[==========] tests: Running 3 test(s).
[ RUN      ] adds
[       OK ] adds
[ RUN      ] divides
[  ERROR   ] --- 0x1 != 0x2
[  FAILED  ] divides
[ RUN      ] needs_a_file
[  SKIPPED ] needs_a_file
[==========] tests: 3 test(s) run.
[  PASSED  ] 1 test(s).
[  FAILED  ] tests: 1 test(s), listed below:
[  FAILED  ] divides
"""


class CountTests(unittest.TestCase):
    def count(self, *entries):
        """Status and last line for a build folder whose log holds these entries."""
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder, "meson-logs", "testlog.json")
            log.parent.mkdir()
            log.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
            return self.run_main(folder)

    def run_main(self, *folders):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = script.main(folders)
        return status, out.getvalue().splitlines()[-1]

    def test_counts_the_cases_of_a_cmocka_program_once(self):
        entry = {"name": "arithmetic", "result": "FAIL", "stdout": CMOCKA}
        self.assertEqual(self.count(entry), (1, "1 passed, 1 failed, 1 skipped"))

    def test_counts_other_programs_as_one(self):
        entries = [{"name": name, "result": result, "stdout": "hello\n"}
                   for name, result in [("a", "OK"), ("b", "SKIP"), ("c", "OK")]]
        self.assertEqual(self.count(*entries), (0, "2 passed, 0 failed, 1 skipped"))

    def test_counts_a_crash_after_passed_cases(self):
        for result in "ERROR", "TIMEOUT", "INTERRUPT":
            entry = {"name": "leaks", "result": result, "stdout": "[       OK ] adds\n"}
            self.assertEqual(self.count(entry), (1, "1 passed, 1 failed"))

    def test_counts_a_build_that_failed(self):
        self.assertEqual(self.run_main(os.devnull), (1, "0 passed, 1 failed"))


unittest.main()
