"""Two examples a command, at the foot of its help."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "plan": (
        "nfkit plan model.onnx --data test.npz",
        "nfkit plan model.onnx --max-loss 0.5% --can robust-bits,storage --json plan.json",
    ),
    "protect": ("nfkit protect model.onnx", "nfkit protect model.onnx --data train.npz --max-loss 1% --minutes 20"),
    "evaluate": ("nfkit evaluate --ber 0.01", "nfkit evaluate model.onnx --data test.npz --ber 1%,0.5% --chips 20"),
    "maps": ("nfkit maps measured/ --block 1024", "nfkit maps measured/ --vmin 0.95 -o measured.csv"),
    "campaign": ("nfkit campaign init model.onnx > plan.toml", "nfkit campaign plan.toml -o results --until 1%"),
    "vulnerability": (
        "nfkit vulnerability model.onnx --data test.npz --ber 5% --samples 500",
        "nfkit vulnerability model.onnx --until 0.5% -o map --json map.json",
    ),
    "inspect": ("nfkit inspect model.onnx", "nfkit inspect model.onnx --json -"),
    "energy": ("nfkit energy model.onnx --vdd 0.85", "nfkit energy model.onnx --generator all --ber 1%"),
    "search": (
        "nfkit search model.onnx --data train.npz -o found",
        "nfkit search model.onnx --data train.npz -o found --widths 16,32,64 --minutes 5",
    ),
    "inject": (
        "nfkit inject model.onnx -o faulty.onnx --ber 1% --chip 7",
        "nfkit inject faulty.onnx -o restored.onnx --remove",
    ),
    "split": ("nfkit split model.nf.onnx", "nfkit split model.nf.onnx --base model.onnx --generator front.onnx"),
    "verify": (
        "nfkit verify model.nf.onnx --base model.onnx",
        "nfkit verify model.nf.onnx --data test.npz --chips 3 --json verified.json",
    ),
    "sign": (
        "nfkit sign model.nf.onnx --key key.pem",
        "nfkit verify model.nf.onnx --public-key public.pem",
    ),
    "tune": (
        "nfkit tune model.nf.onnx --at 0 -o nominal.nf.onnx",
        "nfkit tune published.nf.onnx --caution 16 -o careful.nf.onnx",
    ),
    "modes": (
        "nfkit modes model.nf.onnx -o switched.nf.onnx --data test.npz",
        "nfkit tune switched.nf.onnx --mode nominal -o nominal.nf.onnx",
    ),
    "canary": (
        "nfkit canary switched.nf.onnx --data test.npz -n 32 -o switched.canary.npz",
        "nfkit canary switched.nf.onnx --check switched.canary.npz",
    ),
    "transfer": (
        "nfkit transfer model.nf.onnx other.onnx --data test.npz",
        "nfkit transfer model.nf.onnx https://host/v2/models/other --data test.npz --queries 2000",
    ),
    "quantize": (
        "nfkit quantize float.onnx -o int8.onnx --data train.npz",
        "nfkit quantize float.onnx -o int4.onnx --data train.npz --bits 4",
    ),
    "fold": ("nfkit fold qat.onnx -o codes.onnx",),
    "report": ("nfkit report record.json", "nfkit report model.nf.onnx evaluate.json --data test.npz -o seen.html"),
    "plot": ("nfkit plot record.json -o tradeoff.svg", "nfkit plot *.json -o tradeoff.png"),
    "check": (
        "nfkit check model.nf.onnx --data test.npz",
        "nfkit check model.nf.onnx --target tract --data test.npz --json check.json",
    ),
    "export": (
        "nfkit export model.nf.onnx --target tract --data test.npz -o model.tract.onnx",
        "nfkit export model.nf.onnx --target ort-format -o model.ort",
    ),
    "page": (
        "nfkit page model.nf.onnx -o page.html",
        "nfkit page model.onnx --data test.npz --samples 40 --ber 1%,0.5% -o page.html",
    ),
    "serve": ("nfkit serve model.onnx", "nfkit serve model.onnx --ber 1% --chip 7 --port 8000"),
    "models": ("nfkit models list", "nfkit models export hint-32 -o generator.onnx"),
    "explain": ("nfkit explain", "nfkit explain bit error rate"),
}
"""Command lines by command."""


def epilog(command: str) -> str:
    """The foot of a command's help."""
    return "\n\n".join(("Examples:", *EXAMPLES[command]))
