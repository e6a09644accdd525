"""Load a full-size checkpoint and score a photograph, here and with stock transformers.

    python -m benchmarks.model.full_size --folder DIR [--dtype bfloat16] [--out JSON]

A random bfloat16 checkpoint of the preset is written to DIR unless there is one (4b: about 9 GB),
one tensor in memory at a time. Then each library runs in processes of its own, one at a time, in
the order A B B A: load, one forward to warm up, and those that count. Both get the same folder,
token ids, patches and positions, the same dtype (bfloat16 unless ``--dtype`` says float32, which
takes twice the memory) and the same number of threads, on the CPU; the files are read once before
each so that both load from the page cache where it holds them. transformers runs its bare base
model, without logits; this library runs what scoring runs, where the last MLP works for the pooled
token alone. A last forward, not timed, gives all hidden states to compare. Peak memory is VmHWM of
the process, read from /proc.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from librehps.heads import MultiAxisHead, ScalarHead
from librehps.inputs.byte_tokenizer import QWEN3_5_TOKEN_IDS, byte_level_tokenizer_json
from librehps.inputs.prompt import DEFAULT_TEMPLATE
from librehps.inputs.resize import DEFAULT_BUDGET
from librehps.model_config import LibreHPSConfig, config_json, folder_files
from librehps.modeling.backbone import Qwen3_5Backbone
from librehps.modeling.checkpoint_writer import write_checkpoint
from librehps.modeling.materialize import without_memory
from librehps.modeling.precision import keeps_float32
from librehps.modeling.presets import PRESETS
from librehps.testing.tolerances import relative_rms

PROMPT = "A portrait of an astronaut in an orange suit, a flag and a model of a shuttle behind her."
LIBRARIES = ("librehps", "transformers")
ORDER = ("librehps", "transformers", "transformers", "librehps")
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
GB = 1e9


def make_checkpoint(folder: Path, preset: str) -> None:
    """Write random bfloat16 weights of a known size, fresh heads and a byte-level tokenizer."""
    config = PRESETS[preset]
    with without_memory():
        parts = {
            "model": Qwen3_5Backbone(config),
            "multi_axis_head": MultiAxisHead(hidden_size=config.text.hidden_size),
            "scalar_head": ScalarHead(hidden_size=config.text.hidden_size),
        }
    tensors: dict[str, torch.Tensor] = {}
    for part, module in parts.items():
        for name, tensor in module.state_dict().items():
            wide = part != "model" or keeps_float32(name)
            tensors[f"{part}.{name}"] = tensor.to(torch.float32 if wide else torch.bfloat16)
    described = LibreHPSConfig(
        heads={
            "multi_axis": parts["multi_axis_head"].to_config(),
            "scalar": parts["scalar_head"].to_config(),
        },
        axes=parts["multi_axis_head"].axes,
        prompt_template=DEFAULT_TEMPLATE,
        pixel_budget=DEFAULT_BUDGET,
        trained=False,
    )
    # The special ids keep their distances in presets with a vocabulary of their own.
    shift = config.image_token_id - QWEN3_5_TOKEN_IDS["<|image_pad|>"]
    tokenizer = byte_level_tokenizer_json(
        {token: token_id + shift for token, token_id in QWEN3_5_TOKEN_IDS.items()}
    )
    write_checkpoint(
        folder,
        tensors,
        config=config_json(config, described),
        extra_files=folder_files(
            described,
            tokenizer_json=tokenizer,
            num_params=config.num_params(),
            max_length=config.text.max_position_embeddings,
        ),
        materialize=lambda name: draw(name, tensors[name]),
    )


def draw(name: str, like: torch.Tensor) -> torch.Tensor:
    """Draw one tensor; what it holds depends on its name and shape alone."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    out = torch.empty(like.shape, dtype=like.dtype)
    if name.endswith("A_log"):
        return out.uniform_(1.0, 16.0, generator=generator).log_()
    if name.endswith("dt_bias"):
        step = torch.empty(like.shape).uniform_(math.log(1e-3), math.log(1e-1), generator=generator)
        return step.exp_().expm1_().log_().to(like.dtype)
    if name.endswith("conv1d.weight"):
        return out.uniform_(-0.5, 0.5, generator=generator)
    out.normal_(std=0.02, generator=generator)
    plain_norm = ".visual." in name or ".linear_attn.norm." in name
    return out.add_(1.0) if plain_norm and name.endswith("weight") and out.ndim == 1 else out


def prepare_inputs(folder: Path, image: Path | None, target: Path) -> dict[str, Any]:
    """Write what both libraries are fed, and return a description of it."""
    from librehps.inputs.batch import Batch
    from librehps.processing import load_processor

    if image is None:
        from PIL import Image
        from skimage import data

        image = target.with_name("astronaut.png")
        Image.fromarray(data.astronaut()).save(image)
    batch = Batch.pack([load_processor(folder).prepare(image, PROMPT).sample])
    names = ("input_ids", "positions", "cu_seqlens", "patches", "grid_thw")
    save_file({name: getattr(batch, name).contiguous() for name in names}, target)
    _, rows, columns = batch.grid_thw[0].tolist()
    return {
        "name": image.name,
        "resized_to": [16 * rows, 16 * columns],
        "tokens": batch.num_tokens,
        "patches": rows * columns,
    }


Forward = Callable[[dict[str, torch.Tensor], bool], torch.Tensor]
"""From inputs, and whether the last token is enough, to hidden states ``[T, D]`` or ``[1, D]``."""


def load_librehps(folder: Path, dtype: torch.dtype) -> tuple[torch.nn.Module, Forward]:
    """Load with this library."""
    from librehps.model import PreferenceModel

    model = PreferenceModel.from_pretrained(folder, dtype=dtype)

    def hidden(feed: dict[str, torch.Tensor], last: bool) -> torch.Tensor:
        return model.model(
            feed["input_ids"],
            positions=feed["positions"],
            cu_seqlens=feed["cu_seqlens"],
            patches=feed["patches"],
            grid_thw=feed["grid_thw"],
            output_index=feed["cu_seqlens"][1:].long() - 1 if last else None,
        ).hidden

    return model, hidden


def load_transformers(folder: Path, dtype: torch.dtype) -> tuple[torch.nn.Module, Forward]:
    """Load with stock transformers, which always computes all hidden states."""
    from transformers import AutoModel
    from transformers.utils import logging

    logging.set_verbosity_error()
    model = AutoModel.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()

    def hidden(feed: dict[str, torch.Tensor], last: bool) -> torch.Tensor:
        ids = feed["input_ids"][None]
        states = model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == model.config.image_token_id).long(),
            pixel_values=feed["patches"],
            image_grid_thw=feed["grid_thw"],
            use_cache=False,
        ).last_hidden_state[0]
        return states[-1:] if last else states

    return model, hidden


def work(arguments: argparse.Namespace) -> None:
    """Measure one library in this process; hidden states and numbers go to files."""
    torch.set_num_threads(arguments.threads)
    library, out = arguments.worker, arguments.out
    feed = load_file(arguments.feed)
    load = load_librehps if library == "librehps" else load_transformers
    started = time.perf_counter()
    model, hidden = load(arguments.folder, DTYPES[arguments.dtype])
    load_seconds = time.perf_counter() - started
    peak_after_load = peak_bytes()
    with torch.inference_mode():
        started = time.perf_counter()
        hidden(feed, True)
        first_seconds = time.perf_counter() - started
        seconds: list[float] = []
        for _ in range(arguments.counted):
            started = time.perf_counter()
            hidden(feed, True)
            seconds.append(time.perf_counter() - started)
        states = hidden(feed, False)
    save_file({"hidden": states.float().contiguous()}, out.with_suffix(".safetensors"))
    scores: dict[str, list[float]] = {}
    if library == "librehps":
        with torch.inference_mode():
            heads = model.heads.items()
            scores = {name: head(states[-1:]).mean[0].tolist() for name, head in heads}
    report = {
        "library": library,
        "scores_by_untrained_heads": scores,
        "load_seconds": load_seconds,
        "weights_bytes": sum(parameter.nbytes for parameter in model.parameters()),
        "peak_bytes_after_load": peak_after_load,
        "peak_bytes": peak_bytes(),
        "first_image_seconds": first_seconds,
        "image_seconds": seconds,
    }
    out.write_text(json.dumps(report))


def peak_bytes() -> int:
    """Return the most memory that this process has had resident."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


def read_through(folder: Path) -> None:
    """Read the weight files once, so that the page cache holds what it can of them."""
    buffer = bytearray(1 << 24)
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of each library and what the comparison comes to."""
    table: dict[str, Any] = {}
    for library in LIBRARIES:
        own = [run for run in runs if run["library"] == library]
        table[library] = {
            "load_seconds": median(run["load_seconds"] for run in own),
            "image_seconds": median(second for run in own for second in run["image_seconds"]),
            "peak_gb": max(run["peak_bytes"] for run in own) / GB,
            "peak_gb_after_load": max(run["peak_bytes_after_load"] for run in own) / GB,
            "weights_gb": own[0]["weights_bytes"] / GB,
        }
    ours, theirs = (table[library] for library in LIBRARIES)
    table["peak_above_weights_gb"] = ours["peak_gb"] - ours["weights_gb"]
    table["image_speedup"] = theirs["image_seconds"] / ours["image_seconds"]
    table["load_speedup"] = theirs["load_seconds"] / ours["load_seconds"]
    return table


def describe_machine() -> dict[str, Any]:
    """Return what one has to know about this machine to compare with its numbers."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": memory / GB,
        "system": platform.platform(),
    }


def commit() -> str | None:
    """Return the commit of the working tree, with a plus sign when files differ from it."""
    command = ["git", "describe", "--always", "--abbrev=12", "--dirty=+"]
    run = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or None


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run every worker in turn and return the report."""
    with tempfile.TemporaryDirectory() as scratch:
        feed = Path(scratch) / "feed.safetensors"
        image = prepare_inputs(arguments.folder, arguments.image, feed)
        runs: list[dict[str, Any]] = []
        states: dict[str, torch.Tensor] = {}
        for number, library in enumerate(ORDER):
            read_through(arguments.folder)
            out = Path(scratch) / f"{number}.json"
            command = [sys.executable, "-m", "benchmarks.model.full_size", "--worker", library]
            command += ["--folder", str(arguments.folder), "--feed", str(feed), "--out", str(out)]
            for option in ("threads", "dtype", "counted"):
                command += [f"--{option}", str(getattr(arguments, option))]
            subprocess.run(command, check=True)
            runs.append(json.loads(out.read_text()))
            states[library] = load_file(out.with_suffix(".safetensors"))["hidden"]
            print(json.dumps(runs[-1]), file=sys.stderr)
    ours, theirs = (states[library] for library in LIBRARIES)
    return {
        "benchmark": "full_size",
        "command": "python -m " + " ".join(["benchmarks.model.full_size", *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": describe_machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "transformers", "safetensors")},
        "setting": {
            "preset": arguments.preset,
            "dtype": arguments.dtype,
            "threads": arguments.threads,
            "order": list(ORDER),
            "image": image,
        },
        "summary": summarize(runs),
        "agreement": {
            "hidden_relative_rms": relative_rms(ours, theirs),
            "pooled_relative_rms": relative_rms(ours[-1], theirs[-1]),
        },
        "runs": runs,
    }


def main() -> None:
    """Make the checkpoint where there is none, measure, print and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, required=True, help="checkpoint; made if absent")
    parser.add_argument("--image", type=Path, help="default: a 512x512 photograph of scikit-image")
    parser.add_argument("--preset", default="4b", choices=list(PRESETS))
    parser.add_argument("--dtype", default="bfloat16", choices=list(DTYPES))
    parser.add_argument("--counted", type=int, default=3, help="forwards timed in each process")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="where the report goes as JSON")
    parser.add_argument("--worker", choices=LIBRARIES, help=argparse.SUPPRESS)
    parser.add_argument("--feed", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    if not arguments.folder.exists():
        print(f"writing a random {arguments.preset} to {arguments.folder}", file=sys.stderr)
        make_checkpoint(arguments.folder, arguments.preset)
    report = json.dumps(measure(arguments), indent=2)
    print(report)
    if arguments.out:
        arguments.out.write_text(report + "\n")


if __name__ == "__main__":
    main()
