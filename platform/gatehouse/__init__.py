"""Gatehouse: trained scikit-learn models as versioned HTTP endpoints that partners can be let into safely."""

__version__ = "0.1.0"
