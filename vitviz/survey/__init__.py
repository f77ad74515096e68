"""Analyses over a folder of images, one image at a time."""
