"""From probability maps to vertebrae."""
