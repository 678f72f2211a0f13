"""What is done with the folders of campaigns, whoever measures there: read, joined, exported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nfkit.campaigns.exporting import export, measurements
from nfkit.campaigns.merging import merge
from nfkit.campaigns.results import read_campaign
from nfkit.campaigns.store import MeasurementStore
from nfkit.reports.campaign import Campaign
from nfkit.reports.rendering import Table


def campaign_status(folder: str | os.PathLike[str]) -> Campaign:
    """What the measurements in a folder come to, whether or not somebody is measuring there.

    Raises:
        DataError: When the folder holds no campaign.
    """
    with MeasurementStore(Path(folder)) as store:
        return read_campaign(store)


def merge_campaigns(folders: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]) -> Campaign:
    """Joins the measurements of several folders in a new one; see `nfkit.campaigns.merging.merge`."""
    merge([Path(folder) for folder in folders], Path(output))
    return campaign_status(output)


def export_measurements(folder: str | os.PathLike[str], output: str | os.PathLike[str]) -> int:
    """Writes the measurements of a folder as a table; see `nfkit.campaigns.exporting.export`."""
    with MeasurementStore(Path(folder)) as store:
        return export(store, Path(output))


def campaign_measurements(folder: str | os.PathLike[str]) -> Table:
    """All measurements in a folder, one row each; `to_pandas` makes a data frame of them.

    Raises:
        DataError: When the folder holds no campaign.
    """
    with MeasurementStore(Path(folder)) as store:
        return measurements(store)
