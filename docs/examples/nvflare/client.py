"""One site of a federation in NVIDIA FLARE: MONAI's MonaiAlgo on the bundle, fed by FLARE's client API.

Folders of the sites: SITES/site-1, SITES/site-2, ..., each with datalist.json.
"""

import argparse
from pathlib import Path

import nvflare.client as flare
from federated import TINY, Site, dice_of, make_client
from monai.fl.utils.exchange_object import ExchangeObject

from cmnet_monai.bundle_location import bundle_root


def main() -> None:
    """Train from what the server sends, round by round, until it sends no more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sites", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--local-epochs", type=int, default=1)
    chosen = parser.parse_args()

    flare.init()
    name = flare.get_site_name()
    site = Site(name, chosen.sites / name)
    client = make_client(
        name, bundle_root(None).resolve(), chosen.output / name, [site.dataset_dir], chosen.local_epochs, **TINY
    )
    while flare.is_running():
        received = flare.receive()
        if set(received.params) != set(client.get_weights().weights):
            raise RuntimeError(f"{name}: the server sent {len(received.params)} weights that are not this network's")
        dice = dice_of(client, received.params)  # of the common weights, on this site's validation films
        print(f"{name}: Dice {dice:.3f} before round {received.current_round + 1}")
        client.train(ExchangeObject(weights=received.params))
        # Tensors, not arrays: FLARE's PyTorch side leaves anything else out of what it sends, with a warning only.
        learnt = {key: value.detach().cpu().clone() for key, value in client.get_weights().weights.items()}
        flare.send(
            flare.FLModel(params=learnt, metrics={"val_dice": dice}, meta={"NUM_STEPS_CURRENT_ROUND": site.films})
        )


if __name__ == "__main__":
    main()
