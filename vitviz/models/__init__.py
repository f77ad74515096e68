"""Models: catalogue, loading, preprocessing, support. The only package that imports timm."""
