"""The dual-head Dice loss."""
