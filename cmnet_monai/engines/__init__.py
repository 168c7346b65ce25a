"""What the bundle plugs into MONAI engines: checkpoints, fault tolerance, manifests."""
