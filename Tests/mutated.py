"""A copy of the product with mistakes in it, of which the environment variable MUTATION chooses one: what proves that tests
would see them.
"""

import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SWITCH = """import CPosix

/// The mistake that is in force; 0 for none.
let mutation: Int32 = {
  guard let text = unsafe getenv("MUTATION") else { return 0 }
  return unsafe atoi(text)
}()
"""


def sources(folder, mutations):
    """Makes folder/Sources. Each of `mutations` begins with what is wrong, the file, the text, and the text instead, where
    MUTATION stands for the question whether it is in force.
    """
    shutil.rmtree(folder / "Sources", ignore_errors=True)
    shutil.copytree(ROOT / "Sources", folder / "Sources")
    product = folder / "Sources/usbredir-evloop"
    (product / "Mutation.swift").write_text(SWITCH)
    for number, (name, file, old, new, *_) in enumerate(mutations, 1):
        text = (product / file).read_text()
        if text.count(old) != 1:
            sys.exit(f"{file} has changed, this is there {text.count(old)} times: {name}")
        (product / file).write_text(text.replace(old, new.replace("MUTATION", f"mutation == {number}")))


def environment(number):
    return os.environ | {"MUTATION": str(number)}
