"""A trainer that nnU-Net finds by its name in this folder (``nnUNet_extTrainer``); it needs nothing of this package."""

from __future__ import annotations

import os
import time
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

CUDA = torch.device("cuda")
SECONDS = "CMNET_NNUNET_SECONDS"
"""Environment variable: how long training may take."""


class nnUNetTrainerTimeBudget(nnUNetTrainer):
    """nnU-Net's own trainer, with as many iterations as fit into a given time.

    Ten epochs, over which the learning rate falls as it does over nnU-Net's thousand. Before each epoch its number of
    iterations is set anew from the pace so far. The validation of all training films at the end is left out.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = CUDA,
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 10, 1, 1
        self.save_every = 1
        self.budget = float(os.environ[SECONDS])
        self.started, self.iterations = 0.0, 0

    def on_epoch_start(self) -> None:
        """Set the number of iterations of the epoch."""
        super().on_epoch_start()
        now = time.monotonic()
        if not self.iterations:
            self.started = now
        else:
            pace = (now - self.started) / self.iterations
            left = self.budget - (now - self.started)
            self.num_iterations_per_epoch = max(1, round(left / (self.num_epochs - self.current_epoch) / pace))
        self.iterations += self.num_iterations_per_epoch

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Nothing: every film is in training, and the test films are predicted afterwards."""
