"""What cleaning costs, against what it replaces: CPU seconds side by side in one process.

    python benchmarks/clean_speed.py [dbscan] [pairs] [scores] [million] [stream] [approximate] [--centres 100000]

dbscan       DBSCAN of every identity (50 faces) against a loop over scikit-learn's with metric="cosine"
pairs        all pairs of centres above .75 against faiss IndexFlatIP.range_search; the pairs must be the same
scores       Intra-ID scoring against reading the same bytes once (a sum over the array)
million      clean_embeddings on a million faces of 20,000 identities, with its peak memory
stream       ten million faces of 200,000 identities from a memory map (20 GB, removed afterwards; needs the disk)
approximate  faiss inverted lists with their recall against exact search

Every library is held to one thread, so CPU time is arithmetic and not waiting.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from facekit.clean import CleanSettings, clean_embeddings, cluster_identities, pairs_above
from facekit.clean.approximate import approximate_pairs
from facekit.clean.outliers import score_faces

WIDTH = 512


def unit(x: np.ndarray) -> np.ndarray:
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def faces(identities: int, each: int, seed: int, out: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw identities of `each` faces, a fifth of them strangers; into `out` where the memory is somebody else's."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((identities, WIDTH), dtype=np.float32))
    labels = np.repeat(np.arange(identities), each)
    vectors = np.empty((len(labels), WIDTH), np.float32) if out is None else out
    for first in range(0, len(labels), 50_000):
        part = slice(first, first + 50_000)
        noise = rng.standard_normal((len(labels[part]), WIDTH), dtype=np.float32) / np.float32(WIDTH**0.5)
        strength = np.where(rng.random(len(noise)) < 0.2, 0.0, 0.78).astype(np.float32)[:, None]
        vectors[part] = unit(strength * centres[labels[part]] + 0.62 * noise)
    return vectors, labels


def centres_with_pairs(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = unit(rng.standard_normal((count, WIDTH), dtype=np.float32))
    some = rng.permutation(count)[: count // 20 * 2].reshape(-1, 2)
    cosine = rng.uniform(0.5, 1, len(some)).astype(np.float32)[:, None]
    x[some[:, 1]] = cosine * x[some[:, 0]] + np.sqrt(1 - cosine**2) * x[some[:, 1]]
    return unit(x)


def cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def alternate(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float, float]:
    """Return the medians of both and the median of their ratio, measured in turns."""
    pairs = [(cpu(ours), cpu(theirs)) for _ in range(repeats)]
    a, b = np.median(pairs, axis=0)
    return float(a), float(b), float(np.median([y / x for x, y in pairs]))


def dbscan() -> None:
    from sklearn.cluster import DBSCAN

    for each, identities in ((5, 2000), (50, 1000), (500, 40)):
        vectors, labels = faces(identities, each, seed=1)

        def ours(v: np.ndarray = vectors, n: np.ndarray = labels) -> np.ndarray:
            return cluster_identities(v, n, threads=1)

        def theirs(v: np.ndarray = vectors, n: int = each) -> np.ndarray:
            model = DBSCAN(eps=0.55, min_samples=2, metric="cosine")
            return np.concatenate([model.fit_predict(v[i : i + n]) for i in range(0, len(v), n)])

        assert np.array_equal(ours(), theirs()), "the labels differ"
        a, b, ratio = alternate(ours, theirs, 5)
        print(
            f"dbscan, n = {each}: {identities / a:,.0f} identities/s, scikit-learn {identities / b:,.0f}: {ratio:.1f}x"
        )


def pairs(count: int) -> None:
    import faiss

    faiss.omp_set_num_threads(1)
    x = centres_with_pairs(count)
    pairs_above(x[:5000], 0.75)
    index = faiss.IndexFlatIP(WIDTH)
    index.add(x)

    def theirs() -> None:
        for first in range(0, count, 10_000):
            limits, _, other = index.range_search(x[first : first + 10_000], 0.75)
            row = np.repeat(np.arange(first, first + len(limits) - 1), np.diff(limits).astype(np.int64))
            keep = row < other
            found.update(zip(row[keep].tolist(), other[keep].tolist()))

    found: set[tuple[int, int]] = set()
    mine = pairs_above(x, 0.75)
    a, b, ratio = alternate(lambda: pairs_above(x, 0.75), theirs, 1)
    same = found == set(zip(mine.left.tolist(), mine.right.tolist()))
    print(f"pairs, {count} centres: {a:.1f} s, faiss range_search {b:.1f} s: {ratio:.1f}x, {len(found)} pairs, {same=}")
    assert same


def scores() -> None:
    vectors, labels = faces(20_000, 50, seed=2)
    centres = unit(np.random.default_rng(0).standard_normal((20_000, WIDTH), dtype=np.float32))
    norms = np.ones(len(vectors), np.float32)
    score_faces(vectors, centres, labels, norms=norms, threads=1)
    flat = vectors.reshape(-1)

    def stream() -> None:
        for first in range(0, flat.size, 1 << 22):
            flat[first : first + (1 << 22)].max()

    a, b, ratio = alternate(lambda: score_faces(vectors, centres, labels, norms=norms, threads=1), stream, 9)
    size = vectors.nbytes / 1e9
    print(f"scores: {len(labels) / a / 1e6:.1f} M faces/s, {size / a:.1f} GB/s; reading alone {size / b:.1f} GB/s: "
          f"{100 * ratio:.0f}% of streaming")  # fmt: skip


def million() -> None:
    vectors, labels = faces(20_000, 50, seed=3)
    clean_embeddings(vectors[:5000], labels[:5000], CleanSettings(threads=1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = cpu(lambda: clean_embeddings(vectors, labels, CleanSettings(threads=1)))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6
    print(f"million: steps 1-3 in {seconds:.1f} CPU s, {more:.2f} GB beyond the {vectors.nbytes / 1e9:.1f} GB given")
    robust = cpu(lambda: clean_embeddings(vectors, labels, CleanSettings(mode="robust", threads=1)))
    print(f"million: robust mode in {robust:.1f} CPU s (relabelling compares every dropped face with every centre)")


def stream() -> None:
    count, each = 200_000, 50
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        mapped = np.lib.format.open_memmap(path, "w+", np.float32, (count * each, WIDTH))
        _, labels = faces(count, each, seed=4, out=mapped)
        mapped.flush()
        del mapped
        start = time.perf_counter()
        with allocated() as peak:
            seconds = cpu(lambda: clean_embeddings(np.load(path, mmap_mode="r"), labels, CleanSettings(threads=2)))
        wall = time.perf_counter() - start
        print(f"stream: {count * each:,} faces, {count:,} identities: {seconds:.0f} CPU s, {wall:.0f} s, ", end="")
        print(f"at most {peak[0]:.1f} GB allocated (20.5 GB mapped)")


@contextmanager
def allocated() -> Iterator[list[float]]:
    """Watch the memory that the process allocates, in GB; pages of mapped files, which the system may drop, do not
    count."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            status = Path("/proc/self/status").read_text()
            peak[0] = max(peak[0], int(status.partition("RssAnon:")[2].split()[0]) / 1e6)

    thread = threading.Thread(target=watch)
    thread.start()
    yield peak
    done.set()
    thread.join()


def approximate(count: int) -> None:
    x = centres_with_pairs(count)
    pairs_above(x[:5000], 0.75)
    start = time.process_time()
    exact = pairs_above(x, 0.75)
    middle = time.process_time()
    found = approximate_pairs(x, 0.75)
    end = time.process_time()
    true = len(found.left) / len(exact.left)
    print(f"approximate, {count} centres: {end - middle:.1f} s, exact {middle - start:.1f} s; "
          f"recall {true:.4f}, measured on a sample {found.recall:.4f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["dbscan", "pairs", "scores", "million"])
    parser.add_argument("--centres", type=int, default=100_000)
    options = parser.parse_args()
    calls = {"dbscan": dbscan, "pairs": lambda: pairs(options.centres), "scores": scores, "million": million,
             "stream": stream, "approximate": lambda: approximate(options.centres)}  # fmt: skip
    with threadpool_limits(1):
        for part in options.parts:
            calls[part]()


if __name__ == "__main__":
    main()
