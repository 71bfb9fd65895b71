"""The examples run on a tiny model and print what their heads say.

usage: examples_test.py MODEL CHAT_MODEL GENERATE NEXT_TOKEN LINE_PERPLEXITY CHAT QUANTIZE
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

MODEL, CHAT_MODEL, GENERATE, NEXT_TOKEN, LINE_PERPLEXITY, CHAT, QUANTIZE = sys.argv[1:8]
del sys.argv[1:]


def run(*command, text=""):
    # The tiny model's random tokens need not be UTF-8.
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", errors="replace", check=False)
    return done.returncode, done.stdout, done.stderr


class Examples(unittest.TestCase):
    def test_generate_continues_the_prompt_the_same_way_each_time(self):
        status, out, talk = run(GENERATE, MODEL, "the end of", "20")
        self.assertEqual((status, talk), (0, ""))
        self.assertIn("the end of", out)
        self.assertGreater(len(out), len("the end of\n"))
        self.assertEqual(run(GENERATE, MODEL, "the end of", "20")[1], out)

    def test_next_token_prints_ten_probabilities_in_order(self):
        status, out, talk = run(NEXT_TOKEN, MODEL, "the end of")
        self.assertEqual((status, talk), (0, ""))
        shares = [float(line.split("%")[0]) for line in out.splitlines() if "%" in line]
        self.assertEqual(len(shares), 10)
        self.assertEqual(shares, sorted(shares, reverse=True))
        self.assertTrue(0 < sum(shares) <= 100)

    def test_line_perplexity_judges_each_line_by_itself(self):
        status, out, talk = run(LINE_PERPLEXITY, MODEL, text="the end\na start\nthe end\n")
        self.assertEqual((status, talk), (0, ""))
        lines = out.splitlines()
        self.assertEqual([line.split(None, 1)[1] for line in lines], ["the end", "a start", "the end"])
        self.assertEqual(lines[0], lines[2])
        self.assertGreater(float(lines[1].split()[0]), 1)

    def test_chat_answers(self):
        with tempfile.TemporaryDirectory() as folder:
            messages = pathlib.Path(folder) / "messages.json"
            messages.write_text('[{"role": "user", "content": "Hi"}]', encoding="utf-8")
            status, out, talk = run(CHAT, CHAT_MODEL, str(messages))
            self.assertEqual((status, talk), (0, ""))
            self.assertGreater(len(out), 1)
            messages.write_text('{"role": "user"}', encoding="utf-8")
            self.assertEqual(run(CHAT, CHAT_MODEL, str(messages))[2],
                             "chat: 'the conversation' has no list \"messages\"\n")

    def test_quantize_writes_a_model_and_names_a_wrong_recipe(self):
        with tempfile.TemporaryDirectory() as folder:
            small = pathlib.Path(folder) / "small.gguf"
            status, out, talk = run(QUANTIZE, MODEL, str(small), "rtn:3")
            self.assertEqual((status, out), (0, ""))
            self.assertIn(" of ", talk)
            self.assertLess(small.stat().st_size, pathlib.Path(MODEL).stat().st_size)
            self.assertEqual(run(GENERATE, str(small), "the end", "4")[0], 0)
            status, out, talk = run(QUANTIZE, MODEL, str(small), "gtpq")
            self.assertEqual(status, 1)
            self.assertIn("unknown method 'gtpq'", talk)

    def test_all_name_a_model_that_cannot_be_opened(self):
        for command in (GENERATE, "no.gguf", "a"), (NEXT_TOKEN, "no.gguf", "a"), (LINE_PERPLEXITY, "no.gguf"):
            status, out, talk = run(*command)
            self.assertEqual((status, out), (1, ""))
            self.assertIn("'no.gguf'", talk)


unittest.main()
