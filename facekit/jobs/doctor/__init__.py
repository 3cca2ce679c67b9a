"""What this machine has of what facekit can use."""
