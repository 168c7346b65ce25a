"""Film files to arrays: DICOM, PNG, JPEG, TIFF, NIfTI."""
