"""chat at a terminal: Ctrl-C stops the answer and not the program, Ctrl-D leaves, lines can be edited.

usage: chat_terminal_test.py TWOBIT MAKE_TINY_MODEL (edit | plain)
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

TWOBIT, MAKE_TINY_MODEL, INPUT = sys.argv[1:4]
PATIENCE_S = 30
CTRL_B, CTRL_C, CTRL_D, CTRL_E, UP = b"\x02", b"\x03", b"\x04", b"\x05", b"\x1b[A"
# An answer that does not end by itself: token 268 (r) is chosen for ever.
ENDLESS = ["--temp", "0", "--logit-bias", "268=1000", "-n", "100000"]


class Chat:
    """The program at a terminal of its own; answers may go elsewhere."""

    def __init__(self, model, *options, stdout=None):
        environment = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8", HOME=os.path.dirname(model))
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            if stdout is not None:
                os.dup2(stdout, 1)
            os.execve(TWOBIT, [TWOBIT, "chat", model, *options], environment)
        self.seen = b""

    def type(self, keys):
        os.write(self.terminal, keys)

    def read(self):
        try:
            return os.read(self.terminal, 65536)
        except OSError:  # how Linux says that the other side is closed
            return b""

    def expect(self, text):
        """Waits until the terminal shows `text`, and forgets what stands before it."""
        until = time.monotonic() + PATIENCE_S
        while text not in self.seen:
            ready, _, _ = select.select([self.terminal], [], [], until - time.monotonic())
            piece = self.read() if ready else b""
            if not piece:
                raise AssertionError(f"{text} did not come; instead {self.seen[-500:]}")
            self.seen += piece
        self.seen = self.seen.split(text, 1)[1]

    def wait_for_write(self, pipe, size):
        """Waits until it sleeps in a write to the pipe, which holds `size` bytes and takes no more."""
        until = time.monotonic() + PATIENCE_S
        asleep = 0
        while asleep < 20:
            assert time.monotonic() < until, "it never slept in a write"
            time.sleep(0.01)
            waiting = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
            with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
                state = stat.read().rsplit(")", 1)[1].split()[0]
            asleep = asleep + 1 if waiting == size and state == "S" else 0

    def end(self):
        """Its exit status; negative for a signal."""
        until = time.monotonic() + PATIENCE_S
        while select.select([self.terminal], [], [], max(0, until - time.monotonic()))[0]:
            if not self.read():
                break
        else:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def leave(self):
        self.type(CTRL_D)
        return self.end()


class ChatTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.model = os.path.join(self.folder.name, "tiny.gguf")
        shape = ["--context", "4096", "--blocks", "8", "--width", "256"]
        subprocess.run([MAKE_TINY_MODEL, self.model, "--chat-template", *shape], check=True)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        chat = Chat(self.model, *ENDLESS)
        for _ in range(2):
            chat.expect(b"/4096> ")
            chat.type(b"Hi\n")
            chat.expect(b"rrrr")
            chat.type(CTRL_C)
            chat.expect(b"stopped; the conversation keeps the answer so far")
        chat.expect(b"/4096> ")
        self.assertEqual(chat.leave(), 0)

    def test_ctrl_c_at_the_prompt_begins_a_new_line(self):
        chat = Chat(self.model, *ENDLESS)
        chat.expect(b"0/4096> ")
        chat.type(b"not this" + CTRL_C)
        chat.expect(b"0/4096> ")
        chat.type(b"/reset x\n")
        chat.expect(b"'/reset' stands alone")
        chat.expect(b"0/4096> ")
        self.assertEqual(chat.leave(), 0)

    @unittest.skipIf(INPUT == "plain", "built without line editing")
    def test_the_prompt_comes_back_after_a_pause(self):
        chat = Chat(self.model)
        chat.expect(b"0/4096> ")
        chat.type(b"/rese")
        chat.expect(b"/rese")
        time.sleep(0.5)  # until it waits for keys again, as it does when a person pauses it
        os.kill(chat.pid, signal.SIGSTOP)
        os.waitpid(chat.pid, os.WUNTRACED)
        os.kill(chat.pid, signal.SIGCONT)
        chat.expect(b"0/4096> /rese")
        chat.type(b"t x\n")
        chat.expect(b"'/reset' stands alone")
        chat.expect(b"0/4096> ")
        self.assertEqual(chat.leave(), 0)

    def test_sigterm_ends_the_program(self):
        chat = Chat(self.model)
        chat.expect(b"0/4096> ")
        os.kill(chat.pid, signal.SIGTERM)
        self.assertEqual(chat.end(), -signal.SIGTERM)

    def test_mistakes_are_told_and_the_conversation_goes_on(self):
        chat = Chat(self.model, "--ctx", "30", *ENDLESS)
        chat.expect(b"0/30> ")
        chat.type(b"a message that is longer than the context\n")
        chat.expect(b"the context is full")
        chat.expect(b"0/30> ")
        chat.type(b"Hi\n")
        chat.expect(b"rrrrr")
        chat.expect(b"30/30> ")
        self.assertEqual(chat.leave(), 0)

    @unittest.skipIf(INPUT == "plain", "built without line editing")
    def test_lines_can_be_edited_and_come_back(self):
        chat = Chat(self.model)
        chat.expect(b"0/4096> ")
        chat.type(b"/sytem" + 3 * CTRL_B + b"s" + CTRL_E + b" \xc3\xbc\n")
        chat.expect(b"0/4096> ")
        chat.type(b"/system\n")
        chat.expect(b"\r\n\xc3\xbc\r\n")
        chat.expect(b"0/4096> ")
        chat.type(UP + UP + b"ber\n")
        chat.expect(b"\n")
        chat.expect(b"0/4096> ")
        chat.type(b"/system\n")
        chat.expect(b"\r\n\xc3\xbcber\r\n")
        chat.expect(b"0/4096> ")
        self.assertEqual(chat.leave(), 0)

    def test_ctrl_c_does_not_spoil_what_is_being_written(self):
        unread, answers = os.pipe()
        full = fcntl.fcntl(answers, fcntl.F_SETPIPE_SZ, 4096)
        os.write(answers, (full - 4) * b"-")
        chat = Chat(self.model, *ENDLESS, stdout=answers)
        os.close(answers)
        chat.expect(b"/4096> ")
        chat.type(b"Hi\n")
        chat.wait_for_write(unread, full)
        os.kill(chat.pid, signal.SIGINT)
        time.sleep(0.1)  # the write goes on waiting
        self.assertEqual(os.read(unread, full)[-4:], b"rrrr")
        chat.expect(b"stopped; the conversation keeps the answer so far")
        chat.expect(b"/4096> ")
        self.assertEqual(chat.leave(), 0)
        self.assertEqual(os.read(unread, full), b"r\n")
        os.close(unread)

    def test_ctrl_c_ends_a_pipe(self):
        with subprocess.Popen([TWOBIT, "chat", self.model, *ENDLESS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as chat:
            chat.stdin.write(b"Hi\n")
            chat.stdin.flush()
            self.assertEqual(chat.stdout.read(4), b"rrrr")
            chat.send_signal(signal.SIGINT)
            chat.stdout.read()
        self.assertEqual(chat.returncode, -signal.SIGINT)


def exit_without_terminals():
    """Some containers have no pseudo-terminals: then all of this is skipped."""
    try:
        for end in os.openpty():
            os.close(end)
    except OSError as error:
        print(f"skipped: this system gives no pseudo-terminal: {error}")
        sys.exit(77)


if __name__ == "__main__":
    exit_without_terminals()
    unittest.main(argv=sys.argv[:1])
