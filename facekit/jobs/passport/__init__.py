"""``facekit passport``: what a pack is, and what changed since."""
