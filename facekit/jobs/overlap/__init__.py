"""``facekit overlap``: what two sets of faces share."""
