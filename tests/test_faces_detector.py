"""Decoding a detector's answers: non-maximum suppression."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.faces.detector import nms
from facekit.jobs.pack.shard import box_iou

BOXES = st.lists(
    st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 15)] * 2).map(
        lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
    ),
    max_size=12,
).map(lambda boxes: np.array(boxes, np.float32).reshape(-1, 4))


@given(BOXES, st.sampled_from([0.1, 0.4, 0.75]))
def test_what_is_kept_is_apart_and_what_is_dropped_overlaps_a_better_one(boxes: np.ndarray, threshold: float) -> None:
    keep = nms(boxes, threshold)
    assert keep == sorted(set(keep))
    for i in range(len(boxes)):
        better = [box_iou(boxes[j], boxes[i]) for j in keep if j < i]
        assert (i in keep) == all(iou <= threshold + 1e-6 for iou in better) or min(
            abs(iou - threshold) for iou in better
        ) < 1e-6


def test_the_best_box_is_always_kept_and_copies_of_it_never() -> None:
    box = np.array([[2, 3, 12, 14]], np.float32)
    assert nms(np.repeat(box, 4, 0)) == [0]
    assert nms(np.concatenate([box, box + 100])) == [0, 1]
    assert nms(np.empty((0, 4), np.float32)) == []


@pytest.mark.parametrize(("shift", "kept"), [(4, [0]), (5, [0, 1])])
def test_the_threshold_is_of_intersection_over_union(shift: int, kept: list[int]) -> None:
    """Two squares of side 10, the second `shift` to the right: IoU (10 - shift) / (10 + shift), .43 and .33."""
    boxes = np.array([[0, 0, 10, 10], [shift, 0, 10 + shift, 10]], np.float32)
    assert nms(boxes, iou_threshold=0.4) == kept
