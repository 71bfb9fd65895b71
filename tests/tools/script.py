"""Loads a script of tools/ as a module; the folder is the test program's first argument."""
import importlib.machinery
import importlib.util
import pathlib
import sys

TOOLS = pathlib.Path(sys.argv.pop(1))
sys.dont_write_bytecode = True


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(TOOLS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module
