"""fuzz: each target has its time, one that crashes is named and does not keep the others from running."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from script import TOOLS

TARGET = """#!/bin/sh
for word; do case $word in -max_total_time=*) echo "time ${word#*=}" >>"$0.ran" ;; esac; done
echo "#12 NEW    cov: 345 ft: 400 corp: 1/1b"
echo "stat::number_of_executed_units: 12345"
echo "stat::new_units_added:          7"
echo "stat::peak_rss_mb:              90"
case $0 in *second) echo "Test unit written to build-fuzz/second-crash-1"; exit 77 ;; esac
"""


class FuzzTests(unittest.TestCase):
    def fuzz(self, *words):
        """Status, the report's lines as words, and the seconds of each target that ran."""
        with tempfile.TemporaryDirectory() as root:
            built = pathlib.Path(root, "build-fuzz", "tests", "fuzz")
            built.mkdir(parents=True)
            pathlib.Path(root, "tools").mkdir()
            script = shutil.copy(TOOLS / "fuzz", pathlib.Path(root, "tools"))
            pathlib.Path(root, "build-fuzz", "build.ninja").write_text("build nothing: phony\n", encoding="utf-8")
            for name in ("first", "second", "third"):
                pathlib.Path(root, "tests", "fuzz", "corpus", name).mkdir(parents=True)
                target = built / ("fuzz_" + name)
                target.write_text(TARGET, encoding="utf-8")
                os.chmod(target, 0o755)
            done = subprocess.run([script, *words], capture_output=True, check=False)
            ran = {path.name[5:-4]: path.read_text(encoding="utf-8").split()[1] for path in built.glob("*.ran")}
            report = pathlib.Path(root, "build-fuzz", "report")
            lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
            return done.returncode, [line.split() for line in lines[1:]], ran

    def test_runs_all_targets_and_names_the_one_that_crashes(self):
        status, report, ran = self.fuzz("5")
        self.assertEqual(status, 1)
        self.assertEqual(ran, {"first": "5", "second": "5", "third": "5"})
        self.assertEqual(report[0], ["first", "5", "12345", "345", "7", "90", "clean"])
        self.assertEqual(report[1][-1], "build-fuzz/second-crash-1")
        self.assertEqual(report[2][-1], "clean")

    def test_gives_a_target_a_time_of_its_own(self):
        self.assertEqual(self.fuzz("5", "third=9", "first")[2], {"first": "5", "third": "9"})
        self.assertEqual(self.fuzz("5", "all", "third=9")[2], {"first": "5", "second": "5", "third": "9"})
        self.assertEqual(self.fuzz("third=9", "all")[2], {"first": "60", "second": "60", "third": "9"})

    def test_succeeds_when_nothing_crashed(self):
        self.assertEqual(self.fuzz("1", "first", "third")[0], 0)

    def test_refuses_a_target_that_is_not_there(self):
        self.assertEqual(self.fuzz("1", "fourth"), (2, [], {}))


unittest.main()
