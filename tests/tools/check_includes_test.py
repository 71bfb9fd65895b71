"""check-includes: each rule refuses what breaks it and accepts what keeps it."""
import contextlib
import io
import pathlib
import tempfile
import unittest

from script import load

script = load("check-includes")


class CheckIncludes(unittest.TestCase):
    def faults(self, files):
        """The printed lines for a tree of {path: text}."""
        out = io.StringIO()
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            with contextlib.redirect_stdout(out):
                status = script.main(root)
        lines = out.getvalue().splitlines()
        self.assertEqual(status, 1 if lines else 0)
        return lines

    def assert_refused(self, path, line, words):
        faults = self.faults({path: f"// head\n{line}\n"})
        self.assertEqual(len(faults), 1)
        self.assertIn(f"{path}:2: ", faults[0])
        self.assertIn(words, faults[0])

    def test_accepts_what_stands_further_left(self):
        text = '#include "quant/quant.h"\n#include "quant/grid.h"\n#include "model/model.h"\n#include "text/text.h"\n'
        self.assertEqual(self.faults({"src/quant/grid.c": text + '#include <math.h>\n#include "twobit/error.h"\n'}), [])

    def test_refuses_a_module_further_right_or_beside(self):
        self.assert_refused("src/model/bind.c", '#include "quant/quant.h"', "model stands before quant")
        self.assert_refused("src/eval/score.c", '#include "quant/quant.h"', "eval stands before quant, or beside it")

    def test_refuses_side_doors(self):
        self.assert_refused("src/model/bind.c", '#  include "base/mem.h"', "base is entered through base/base.h")
        self.assert_refused("src/model/bind.c", '#include "bind.h"', "'bind.h' is no module")

    def test_gives_libraries_to_the_source_files_of_their_owners(self):
        self.assertEqual(self.faults({"src/tensor/dense.c": "#include <cblas.h>\n"}), [])
        self.assert_refused("src/tensor/dense.h", "#include <cblas.h>", ".c files only")
        self.assert_refused("src/quant/gptq.c", "#include <cblas.h>", "belongs to tensor")
        self.assert_refused("src/quant/gptq.c", "#include <curl/curl.h>", "unknown library")

    def test_keeps_examples_and_public_headers_to_the_public(self):
        self.assert_refused("examples/generate.c", '#include "model/model.h"', "only include/twobit")
        self.assert_refused("include/twobit/twobit.h", "#include <jansson.h>", "only the C library")

    def test_refuses_tests_that_include_sources(self):
        self.assert_refused("tests/unit/base/base_test.c", '#include "base/mem.c"', "compiled, not included")

    def test_refuses_a_name_used_twice(self):
        faults = self.faults({"src/base/file.c": "", "src/cli/file.c": ""})
        self.assertEqual(faults, ["src/cli/file.c:1: the name is taken by src/base/file.c"])

    def test_refuses_a_type_defined_twice(self):
        for first, second in (("typedef struct tb_grid {\n} tb_grid;\n", "typedef enum tb_grid { A } tb_grid;\n"),
                              ("typedef struct {\n    int n;\n} tb_grid;\n", "struct tb_grid {\n    int n;\n};\n"),
                              ("typedef void tb_grid(int n);\n", "typedef void (*tb_grid)(int n);\n")):
            faults = self.faults({"src/quant/grid.h": first, "src/lab/lab_grid.c": second})
            self.assertEqual(len(faults), 1)
            self.assertIn("the type tb_grid is defined in src/lab/lab_grid.c", faults[0])

    def test_takes_a_type_that_is_declared_before_it_is_defined(self):
        self.assertEqual(self.faults({"src/base/arena.h": "typedef struct tb_arena tb_arena;\n",
                                      "src/base/arena.c": "struct tb_arena {\n    int n;\n};\n",
                                      "src/base/str.h": "struct tb_arena;\n"}), [])

    def test_does_not_pass_an_empty_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(script.main(pathlib.Path(folder)), 1)


unittest.main()
