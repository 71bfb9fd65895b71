"""Copies the BPDQ golden vectors from a folder of golden data into tests/golden/bpdq.

usage: copy_bpdq.py SOURCE DESTINATION

The Hessians are symmetric, and most of the bytes: only their lower triangles are kept, row by row.
"""
import pathlib
import shutil
import sys

import numpy as np

KEEP = ["W", "perm", "group_order", "c_f32", "B", "Q_f32", "E_f32", "best_score",
        "g0_Wt", "g0_scale", "g0_zero", "g0_q8", "g0_it1_B", "g0_it1_c"]


def main():
    source, destination = map(pathlib.Path, sys.argv[1:])
    for case in sorted(p for p in source.iterdir() if (p / "H.npy").exists()):
        target = destination / case.name
        target.mkdir(parents=True, exist_ok=True)
        hessian = np.load(case / "H.npy")
        assert (hessian == hessian.T).all()
        np.save(target / "H_lower.npy", hessian[np.tril_indices(len(hessian))])
        for name in KEEP:
            if (case / f"{name}.npy").exists():
                shutil.copyfile(case / f"{name}.npy", target / f"{name}.npy")


main()
