"""The modified U-Net and CM-Net."""
