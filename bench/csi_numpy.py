"""The link of `twobit csi` and its two-pass receiver, as one writes them down in NumPy.

`plain` is the simulation of a paper: one frame after the other, every line an equation of docs/csi.md.
`batched` is what one makes of it when it takes too long: 256 frames at a time, products by BLAS.

Both draw the same frames in distribution as `twobit csi evaluate` (not the same numbers: NumPy's own
generator is by far its fastest), so that NMSE and BER must agree within their intervals.
"""
import math

import numpy as np

BATCH = 256


class Link:
    """N antennas, P symbols, B combined antennas, walsh-first spreading, QPSK, Rayleigh."""

    def __init__(self, n=64, p=512, b=64, rho=0.2, snr_db=5.0):
        self.n, self.p, self.b, self.rho = n, p, b, rho
        self.repeats = p // n
        self.energy = 10 ** (snr_db / 10)
        walsh = np.ones((1, 1))
        while len(walsh) < p:
            walsh = np.block([[walsh, walsh], [walsh, -walsh]])
        self.spreading = np.ascontiguousarray(walsh[:, :n])


class Tally:
    """Sums over frames, as twobit has them, and what they say with 95 % intervals."""

    def __init__(self):
        self.errors, self.powers, self.wrong = [], [], []

    def add(self, error, power, wrong):
        self.errors.append(error)
        self.powers.append(power)
        self.wrong.append(wrong)

    def score(self, bits):
        e, q, w = (np.concatenate([np.atleast_1d(x) for x in part])
                   for part in (self.errors, self.powers, self.wrong))
        nmse, ber = e.sum() / q.sum(), w.mean() / bits
        root = 1.96 / math.sqrt(len(e))
        return {"nmse": nmse, "nmse_ci": root * np.std(e - nmse * q) / q.mean(),
                "ber": ber, "ber_ci": root * np.std(w) / bits}


def tail(x):
    return 0.5 * math.erfc(x / math.sqrt(2))


def bit_error_rate(link, s2, c):
    """Of QPSK after the first pass: over the signs of the other R − 1 symbols of a block."""
    r, rho = link.repeats, link.rho
    a = math.sqrt((1 - rho) / 2)
    deviation = math.sqrt((1 - c) ** 2 * rho / 2 + s2 / 2 * (1 - 2 * c / r + c * c / r))
    return sum(math.comb(r - 1, m) / 2 ** (r - 1) * tail((a * (1 - c / r) - c * a / r * (r - 1 - 2 * m)) / deviation)
               for m in range(r))


def shrinkage(link, interference, s2):
    gamma = link.repeats * link.rho / (interference + s2)
    return gamma / (1 + gamma)


def complex_normal(rng, *shape):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / math.sqrt(2)


# ---- frame by frame ----

def draw_frame(link, rng):
    h = complex_normal(rng, link.n)
    bits = rng.integers(0, 2, (2, link.p))
    d = ((1 - 2 * bits[0]) + 1j * (1 - 2 * bits[1])) / math.sqrt(2)
    x = math.sqrt(link.rho / link.n) * (link.spreading @ h) + math.sqrt(1 - link.rho) * d
    g = complex_normal(rng, link.b) / math.sqrt(link.b)
    s2 = 1 / (link.energy * np.linalg.norm(g) ** 2)
    return h, bits, x + math.sqrt(s2) * complex_normal(rng, link.p), s2


def receive_frame(link, r, s2):
    csi, data = math.sqrt(link.rho / link.n), math.sqrt(1 - link.rho)
    interference = 1 - link.rho
    y = r
    for _ in range(2):
        c = shrinkage(link, interference, s2)
        h = c * (link.spreading.T @ y) / (link.p * csi)
        z = r - csi * (link.spreading @ h)
        d = (np.sign(z.real) + 1j * np.sign(z.imag)) / math.sqrt(2)
        y = r - data * d
        interference = (1 - link.rho) * 4 * bit_error_rate(link, s2, c)
    return h, np.stack([z.real < 0, z.imag < 0])


def plain(link, frames, rng):
    tally = Tally()
    for _ in range(frames):
        h, bits, r, s2 = draw_frame(link, rng)
        estimate, decided = receive_frame(link, r, s2)
        tally.add(np.sum(np.abs(estimate - h) ** 2), np.sum(np.abs(h) ** 2), np.sum(decided != bits))
    return tally.score(2 * link.p)


# ---- many frames at a time ----

def draw_frames(link, count, rng):
    h = complex_normal(rng, count, link.n)
    bits = rng.integers(0, 2, (count, 2, link.p), dtype=np.int8)
    d = ((1 - 2 * bits[:, 0]) + 1j * (1 - 2 * bits[:, 1])) / math.sqrt(2)
    x = math.sqrt(link.rho / link.n) * (h @ link.spreading.T) + math.sqrt(1 - link.rho) * d
    g = complex_normal(rng, count, link.b) / math.sqrt(link.b)
    s2 = 1 / (link.energy * np.sum(np.abs(g) ** 2, axis=1, keepdims=True))
    return h, bits, x + np.sqrt(s2) * complex_normal(rng, count, link.p), s2


def receive_frames(link, r, s2):
    csi, data = math.sqrt(link.rho / link.n), math.sqrt(1 - link.rho)
    interference = 1 - link.rho
    y = r
    for _ in range(2):
        c = shrinkage(link, interference, s2)
        h = c * (y @ link.spreading) / (link.p * csi)
        z = r - csi * (h @ link.spreading.T)
        d = (np.sign(z.real) + 1j * np.sign(z.imag)) / math.sqrt(2)
        y = r - data * d
        wrong = [[bit_error_rate(link, one_s2, one_c)] for one_s2, one_c in zip(s2[:, 0], c[:, 0])]
        interference = (1 - link.rho) * 4 * np.array(wrong)
    return h, np.stack([z.real < 0, z.imag < 0], axis=1)


def batched(link, frames, rng):
    tally = Tally()
    for first in range(0, frames, BATCH):
        h, bits, r, s2 = draw_frames(link, min(BATCH, frames - first), rng)
        estimate, decided = receive_frames(link, r, s2)
        tally.add(np.sum(np.abs(estimate - h) ** 2, axis=1), np.sum(np.abs(h) ** 2, axis=1),
                  np.sum(decided != bits, axis=(1, 2)))
    return tally.score(2 * link.p)
