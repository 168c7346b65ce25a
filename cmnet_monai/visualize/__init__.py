"""Pictures of films and of what was found on them."""

from cmnet_monai.visualize.batch_page import write_batch_page
from cmnet_monai.visualize.overlay import draw_overlay, save_overlay, write_overlay

__all__ = ["draw_overlay", "save_overlay", "write_batch_page", "write_overlay"]
