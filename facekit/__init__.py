"""facekit: dataset cleaning and mask augmentation for mask-robust face recognition."""
