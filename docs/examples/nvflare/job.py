"""Run a federation in NVIDIA FLARE's simulator, and measure its weights at each site before and after.

python job.py SITES OUT --rounds 3
"""

import argparse
import os
from pathlib import Path

import torch
from federated import TINY, dice_of, make_client
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv

from cmnet_monai.bundle_location import bundle_root


def main() -> None:
    """Every site and a server, on this machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sites", type=Path, help="folder with site-1, site-2, ...")
    parser.add_argument("output", type=Path, help="folder of the runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--local-epochs", type=int, default=1, help="epochs of each round")
    chosen = parser.parse_args()
    sites, output = chosen.sites.resolve(), chosen.output.resolve()
    names = sorted(folder.name for folder in sites.iterdir() if folder.is_dir())
    bundle = bundle_root(None).resolve()

    paths = [str(Path(__file__).parent.resolve()), os.environ.get("PYTHONPATH", "")]  # client.py imports federated
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    judges = {name: make_client(name, bundle, output / "judges" / name, [sites / name], 1, **TINY) for name in names}
    start = {key: value.cpu().clone() for key, value in judges[names[0]].get_weights().weights.items()}
    torch.save(start, output / "start.pt")

    network = {"base_channels": TINY["base_channels"], "s1_channel": True, "lumbar_channel": True}
    recipe = FedAvgRecipe(
        name="cmnet",
        model={"class_path": "cmnet_monai.networks.CMNet", "args": network},
        initial_ckpt=str(output / "start.pt"),
        min_clients=len(names),
        num_rounds=chosen.rounds,
        train_script=str(Path(__file__).parent / "client.py"),
        train_args=f"--sites {sites} --output {output / 'runs'} --local-epochs {chosen.local_epochs}",
        key_metric="val_dice",
    )
    run = recipe.execute(SimEnv(clients=names, num_threads=len(names), workspace_root=str(output)))
    made = Path(str(run.get_result())) / "server" / "simulate_job" / "app_server" / "FL_global_model.pt"
    common = torch.load(made, weights_only=True)["model"]

    print(f"| weights | {' | '.join(f'Dice at {name}' for name in names)} |")
    print("| --- |" + " --- |" * len(names))
    for way, weights in (("before", start), ("federated in FLARE", common)):
        print(f"| {way} | {' | '.join(f'{dice_of(judges[name], weights):.3f}' for name in names)} |")
    print("weights:", made)


if __name__ == "__main__":
    main()
