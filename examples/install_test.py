"""What `make install` installs is enough to build a program, and shows nothing private.

usage: install_test.py SOURCE_ROOT BUILD_ROOT MODEL
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD, MODEL = (pathlib.Path(path) for path in sys.argv[1:4])
del sys.argv[1:]


def output_of(*command, **environment):
    return subprocess.run(command, env=os.environ | environment, check=True, capture_output=True,
                          encoding="utf-8", errors="replace").stdout


def build_options():
    listing = json.loads((BUILD / "meson-info" / "intro-buildoptions.json").read_text(encoding="utf-8"))
    return {option["name"]: option["value"] for option in listing}


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name)
        output_of("meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet", "--destdir", folder.name)
        options = build_options()
        cls.prefix = cls.root / options["prefix"].lstrip("/")
        cls.lib = cls.prefix / options["libdir"]

    def test_program_and_manual_are_there(self):
        self.assertIn("twobit", output_of(str(self.prefix / "bin" / "twobit"), "--version"))
        self.assertTrue((self.prefix / "share" / "man" / "man1" / "twobit.1").is_file())
        self.assertTrue((self.prefix / "share" / "twobit" / "csi" / "hybrid.safetensors").is_file())

    def test_an_example_builds_and_runs_against_it(self):
        flags = output_of("pkg-config", "--cflags", "--libs", "twobit", PKG_CONFIG_PATH=str(self.lib / "pkgconfig"),
                          PKG_CONFIG_SYSROOT_DIR=str(self.root))
        program = self.root / "next_token"
        output_of("cc", "-std=c11", "-o", str(program), str(SOURCE / "examples" / "next_token.c"),
                  *shlex.split(flags), "-lm")
        self.assertIn("%", output_of(str(program), str(MODEL), "the end", LD_LIBRARY_PATH=str(self.lib)))

    def test_the_library_shows_what_the_headers_declare_and_nothing_else(self):
        headers = "".join(path.read_text(encoding="utf-8") for path in (self.prefix / "include" / "twobit").iterdir())
        declared = set(re.findall(r"^TB_API [^;(]*?(tb_\w+)\(", headers, re.MULTILINE))
        self.assertGreater(len(declared), 10)
        symbols = output_of("nm", "-D", "--defined-only", str(self.lib / "libtwobit.so"))
        self.assertEqual({line.split()[2] for line in symbols.splitlines()}, declared)


unittest.main()
