"""Gatehouse: trained scikit-learn models as versioned HTTP endpoints that partners can be let into safely."""

import os

__version__ = "0.1.0"

for _name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
    # onnxruntime 1.31 on would keep a device id under the home folder and send events to its maker; it looks once, when it is imported
    os.putenv(_name, "1")
