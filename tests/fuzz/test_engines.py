"""The fuzzers find what is planted, keep it, and say how to repeat it; what is sound comes out as nothing."""

import importlib.util
import subprocess
import sys

import pytest

from tests.fuzz import corpus
from tests.fuzz.mutation import Mutator
from tests.fuzz.planted import fuzz_planted

PLANTED = {
    "mutation": ["fuzz_planted", "fuzz_endless", "fuzz_greedy", "fuzz_fatal"],
    "atheris": ["fuzz_planted", "fuzz_endless", "fuzz_greedy"],  # libFuzzer does not see a process that ends itself
}
ENGINES = ["mutation", *(["atheris"] if importlib.util.find_spec("atheris") else [])]


def fuzz(*arguments):
    command = [sys.executable, "-m", "tests.fuzz", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=corpus.ROOT, check=False)


def run_planted(name, engine, output):
    """Fuzz until something is found. What is not endless may take long on a busy machine, and so may the whole."""
    target = f"tests.fuzz.planted:{name}"
    patience = 2 if name == "fuzz_endless" else 60
    return target, fuzz(target, "--engine", engine, "--seed", 1, "--seconds", 300, "--patience", patience, "--output", output)


def cases():
    """Each engine finds what is planted: a fault and an endless loop by our own engine always, all else in `make simulation`."""
    for engine in ENGINES:
        for name in PLANTED[engine]:
            always = engine == "mutation" and name in {"fuzz_planted", "fuzz_endless"}
            yield pytest.param(engine, name, marks=() if always else pytest.mark.simulation)


@pytest.mark.parametrize(("engine", "name"), [*cases()])
def test_control_a_planted_defect_is_found_and_can_be_repeated(engine, name, tmp_path):
    target, done = run_planted(name, engine, tmp_path)
    assert done.returncode == 1, done.stdout
    (crasher,) = [path for path in tmp_path.glob("*/*") if path.name.startswith(("crash-", "timeout-", "oom-"))]
    assert f"-m tests.fuzz {target} --input {crasher}" in done.stdout
    assert f"findings in {target}" in done.stderr
    if name == "fuzz_planted":
        again = fuzz(target, "--input", crasher)
        assert again.returncode == 1
        assert "IndexError: planted" in again.stderr


def test_control_a_sound_target_ends_well_and_keeps_what_it_reached(tmp_path):
    done = fuzz("rlp", "--engine", "mutation", "--seed", 1, "--seconds", 1, "--output", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "nothing found" in done.stdout
    assert corpus.read(tmp_path / "rlp" / "corpus")


def test_a_seed_gives_the_same_inputs_again():
    def inputs(seed):
        mutator = Mutator(seed, 100)
        return [mutator.next_input([b"some", b"corpus"]) for _ in range(100)]

    assert inputs(1) == inputs(1) != inputs(2)
    assert max(map(len, inputs(1))) <= 100
    assert len(set(inputs(1))) > 50


def test_what_is_taken_over_reaches_something_new_and_is_cut_down():
    deep = b"\xc8\xc7\xc6\xc5\xc4\xc3\xc2\xc1\xc0"
    assert corpus.shrink(b"long and X in it", lambda data: b"X" in data) == b"X"
    flat = b"\xc8\x01\x02\x03\x04\x05\x06\x07\x08"
    (kept,) = corpus.choose(fuzz_planted, [b"\x80"], [flat], 1)
    assert kept
    assert corpus.choose(fuzz_planted, [flat], [flat], 1) == []
    assert corpus.choose(fuzz_planted, [b"\x80"], [deep], 1) == []  # a finding is no seed
