"""``facekit mask PHOTOS DST --photos``: a folder tree of photographs in, the same tree with masked faces out."""
