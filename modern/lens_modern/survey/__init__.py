"""Scores of millions of cutouts: formats in, shards, formats out."""

import sys

# OpenVINO's converter would report its use over the network and keep an id in the home directory; without this
# package, which pip brings along, it does neither.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
