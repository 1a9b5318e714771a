"""A process that does nothing but KZG: ckzg holds Python's lock while it computes, up to half a second for a blob.

`python kzg_worker.py SETUP` reads calls from its standard input and writes results to its standard output, both by `marshal`, one behind
the other: (name, arguments) and (whether it worked, the result or why not). It ends when its input does. It imports nothing of devp2p, so
that it starts quickly.
"""

import importlib
import marshal
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Final

ckzg: Any = importlib.import_module("ckzg")  # it has no types

G1_COUNT: Final = 4096
G2_COUNT: Final = 65
G1_SIZE: Final = 48
G2_SIZE: Final = 96
COLUMNS: Final = 128


def load(path: Path) -> Any:  # noqa: ANN401  (ckzg's own)
    """Load the trusted setup, which lies in the package as points one behind the other: G1 in Lagrange form, G2, G1 in monomial form.

    ckzg reads text: two counts, then the points in hex.
    """
    data = path.read_bytes()
    sizes = [G1_SIZE] * G1_COUNT + [G2_SIZE] * G2_COUNT + [G1_SIZE] * G1_COUNT
    if len(data) != sum(sizes):
        raise ValueError(f"{path} has {len(data)} bytes, not {sum(sizes)}")
    lines, at = [str(G1_COUNT), str(G2_COUNT)], 0
    for size in sizes:
        lines.append(data[at : at + size].hex())
        at += size
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "trusted_setup.txt"
        text.write_text("\n".join(lines) + "\n", "ascii")
        return ckzg.load_trusted_setup(str(text), 0)


class Calls:
    """What may be called. Cells are 2,048 bytes, commitments and proofs 48, blobs 131,072."""

    def __init__(self, setup: Any) -> None:  # noqa: ANN401
        self._setup = setup

    def verify_cells(self, commitments: list[bytes], columns: list[int], cells: list[bytes], proofs: list[bytes]) -> bool:
        """Verify cells, each with its commitment, its column and its proof."""
        return bool(ckzg.verify_cell_kzg_proof_batch(commitments, columns, cells, proofs, self._setup))

    def verify_blobs(self, blobs: list[bytes], commitments: list[bytes], proofs: list[bytes]) -> bool:
        """Verify all cells of blobs; there are 128 proofs for each."""
        cells = [cell for blob in blobs for cell in ckzg.compute_cells(blob, self._setup)]
        every = [commitment for commitment in commitments for _ in range(COLUMNS)]
        return self.verify_cells(every, list(range(COLUMNS)) * len(blobs), cells, proofs)

    def extend(self, blobs: list[bytes]) -> list[list[bytes]]:
        """All cells of each blob."""
        return [ckzg.compute_cells(blob, self._setup) for blob in blobs]

    def recover(self, columns: list[int], cells: list[list[bytes]]) -> list[bytes]:
        """Blobs, of which there are cells in so many columns, at least half of all."""
        return [b"".join(ckzg.recover_cells_and_kzg_proofs(columns, each, self._setup)[0][: COLUMNS // 2]) for each in cells]

    def commitments(self, blobs: list[bytes]) -> list[bytes]:
        """Commitments of blobs."""
        return [ckzg.blob_to_kzg_commitment(blob, self._setup) for blob in blobs]

    def seal(self, blobs: list[bytes]) -> tuple[list[bytes], list[bytes]]:
        """Commitments of blobs, and the proofs of all their cells."""
        commitments = [ckzg.blob_to_kzg_commitment(blob, self._setup) for blob in blobs]
        return commitments, [proof for blob in blobs for proof in ckzg.compute_cells_and_kzg_proofs(blob, self._setup)[1]]


def serve(calls: Calls, inward: BinaryIO, outward: BinaryIO) -> None:
    """Answer calls until there are no more."""
    while True:
        try:
            name, arguments = marshal.load(inward)  # noqa: S302  (our own process wrote it)
        except EOFError:
            return
        try:
            answer: tuple[bool, Any] = True, getattr(calls, name)(*arguments)
        except Exception as error:  # noqa: BLE001  (ckzg raises RuntimeError for points that are none)
            answer = False, str(error)
        marshal.dump(answer, outward)
        outward.flush()


if __name__ == "__main__":
    serve(Calls(load(Path(sys.argv[1]))), sys.stdin.buffer, sys.stdout.buffer)
