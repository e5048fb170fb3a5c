"""Texts of the module for 3D Slicer."""
