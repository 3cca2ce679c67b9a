"""``facekit cost``: what every step takes, predicted from rates that are measured on this machine."""
