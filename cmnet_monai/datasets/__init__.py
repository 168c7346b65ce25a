"""Films on disk as MONAI datalists and datasets."""
