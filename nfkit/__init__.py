"""nfkit: protect frozen quantised ONNX models against the bit errors of low-voltage SRAM.

The names below are the library; what needs torch is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nfkit.version import __version__ as __version__

if TYPE_CHECKING:
    from nfkit.access.guarded import Guarded as Guarded
    from nfkit.access.remote import open_endpoint as open_endpoint
    from nfkit.access.switched import Switched as Switched
    from nfkit.data import Dataset as Dataset
    from nfkit.data import find_data as find_data
    from nfkit.data import load as load_data  # noqa: F401
    from nfkit.deploy.signing import sign as sign
    from nfkit.energy import load_curve as load_curve
    from nfkit.errors import NfkitError as NfkitError
    from nfkit.faults import BitErrors as BitErrors
    from nfkit.faults import Chip as Chip
    from nfkit.faults import parse_layout as parse_layout
    from nfkit.graph.fusion.front import build_front as build_front
    from nfkit.graph.fusion.front import front_of as front_of
    from nfkit.graph.fusion.fuse import fuse as fuse
    from nfkit.graph.fusion.split import split as split
    from nfkit.graph.injection.inject import inject as inject
    from nfkit.graph.injection.inject import remove as remove
    from nfkit.graph.input.discovery import find_input as find_input
    from nfkit.graph.input.spec import InputSpec as InputSpec
    from nfkit.graph.memory.sites import WeightSite as WeightSite
    from nfkit.graph.memory.sites import find_sites as find_sites
    from nfkit.graph.quantised.requantise import requantise as requantise
    from nfkit.learn.config import TrainConfig as TrainConfig
    from nfkit.measure.labels import label_by as label_by
    from nfkit.measure.precision import evaluate_bits as evaluate_bits
    from nfkit.measure.quantisation import quantize as quantize
    from nfkit.model import load as load_model  # noqa: F401
    from nfkit.plans.energy_analysis import analyse as analyse
    from nfkit.workflows.campaign_folders import campaign_measurements as campaign_measurements
    from nfkit.workflows.campaigning import campaign as campaign
    from nfkit.workflows.canaries import check_health as check_health
    from nfkit.workflows.canaries import make_canary as make_canary
    from nfkit.workflows.device import protect_device as protect_device
    from nfkit.workflows.evaluation import evaluate as evaluate
    from nfkit.workflows.fault_maps import describe_maps as describe_maps
    from nfkit.workflows.fault_maps import measured_curve as measured_curve
    from nfkit.workflows.page import page as page
    from nfkit.workflows.planning import plan as plan
    from nfkit.workflows.protection import protect as protect
    from nfkit.workflows.reporting import report as report
    from nfkit.workflows.scoring import score as score
    from nfkit.workflows.shipping import check as check
    from nfkit.workflows.shipping import export as export
    from nfkit.workflows.switching import build_modes as build_modes
    from nfkit.workflows.verification import verify as verify
    from nfkit.workflows.vulnerability import vulnerability as vulnerability

_HOMES = {
    # models and data
    "load_model": "nfkit.model:load",
    "load_data": "nfkit.data:load",
    "find_data": "nfkit.data:find_data",
    "label_by": "nfkit.measure.labels:label_by",
    "Dataset": "nfkit.data:Dataset",
    "InputSpec": "nfkit.graph.input.spec:InputSpec",
    "find_input": "nfkit.graph.input.discovery:find_input",
    # faults
    "BitErrors": "nfkit.faults:BitErrors",
    "Chip": "nfkit.faults:Chip",
    "parse_layout": "nfkit.faults:parse_layout",
    "WeightSite": "nfkit.graph.memory.sites:WeightSite",
    "find_sites": "nfkit.graph.memory.sites:find_sites",
    "inject": "nfkit.graph.injection.inject:inject",
    "remove": "nfkit.graph.injection.inject:remove",
    # quantisation
    "quantize": "nfkit.measure.quantisation:quantize",
    "requantise": "nfkit.graph.quantised.requantise:requantise",
    # protection
    "TrainConfig": "nfkit.learn.config:TrainConfig",
    "protect": "nfkit.workflows.protection:protect",
    "protect_device": "nfkit.workflows.device:protect_device",
    "fuse": "nfkit.graph.fusion.fuse:fuse",
    "split": "nfkit.graph.fusion.split:split",
    # measuring
    "evaluate": "nfkit.workflows.evaluation:evaluate",
    "describe_maps": "nfkit.workflows.fault_maps:describe_maps",
    "measured_curve": "nfkit.workflows.fault_maps:measured_curve",
    "score": "nfkit.workflows.scoring:score",
    "evaluate_bits": "nfkit.measure.precision:evaluate_bits",
    "campaign": "nfkit.workflows.campaigning:campaign",
    "campaign_measurements": "nfkit.workflows.campaign_folders:campaign_measurements",
    "vulnerability": "nfkit.workflows.vulnerability:vulnerability",
    # planning
    "plan": "nfkit.workflows.planning:plan",
    # shipping
    "check": "nfkit.workflows.shipping:check",
    "export": "nfkit.workflows.shipping:export",
    # showing
    "page": "nfkit.workflows.page:page",
    "report": "nfkit.workflows.reporting:report",
    # finished files
    "verify": "nfkit.workflows.verification:verify",
    "sign": "nfkit.deploy.signing:sign",
    "build_modes": "nfkit.workflows.switching:build_modes",
    "Switched": "nfkit.access.switched:Switched",
    "make_canary": "nfkit.workflows.canaries:make_canary",
    "check_health": "nfkit.workflows.canaries:check_health",
    # bases that are no files
    "open_endpoint": "nfkit.access.remote:open_endpoint",
    "Guarded": "nfkit.access.guarded:Guarded",
    "build_front": "nfkit.graph.fusion.front:build_front",
    "front_of": "nfkit.graph.fusion.front:front_of",
    # energy
    "analyse": "nfkit.plans.energy_analysis:analyse",
    "load_curve": "nfkit.energy:load_curve",
    # errors
    "NfkitError": "nfkit.errors:NfkitError",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nfkit' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
