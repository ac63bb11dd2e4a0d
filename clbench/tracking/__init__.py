"""Who listens to a run while it goes on: TensorBoard, W&B, MLflow, yours, several at once."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
