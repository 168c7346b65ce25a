"""DICOM objects written here: segmentations, structured reports, radiographs."""
