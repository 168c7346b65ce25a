"""Pictures of films and of what was found on them."""

from cmnet_monai.visualize.batch_page import write_batch_page
from cmnet_monai.visualize.overlay import save_overlay, save_reading

__all__ = ["save_overlay", "save_reading", "write_batch_page"]
