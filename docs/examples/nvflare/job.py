"""Run a federation in NVIDIA FLARE's simulator.

python job.py SITES OUT --rounds 3
"""

import argparse
from pathlib import Path

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv


def main() -> None:
    """Two sites and a server, on this machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sites", type=Path, help="folder with site-1, site-2, ...")
    parser.add_argument("output", type=Path, help="folder of the runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base-channels", type=int, default=8, help="that of the sites' settings")
    chosen = parser.parse_args()
    sites = sorted(folder.name for folder in chosen.sites.iterdir() if folder.is_dir())
    network = {"base_channels": chosen.base_channels, "s1_channel": True, "lumbar_channel": True}
    recipe = FedAvgRecipe(
        name="cmnet",
        model={"class_path": "cmnet_monai.networks.CMNet", "args": network},
        min_clients=len(sites),
        num_rounds=chosen.rounds,
        train_script=str(Path(__file__).parent / "client.py"),
        train_args=f"--sites {chosen.sites.resolve()} --output {(chosen.output / 'runs').resolve()}",
        key_metric="val_dice",
    )
    run = recipe.execute(SimEnv(clients=sites, num_threads=len(sites), workspace_root=str(chosen.output.resolve())))
    print("status:", run.get_status())
    print("result:", run.get_result())


if __name__ == "__main__":
    main()
