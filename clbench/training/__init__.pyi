from .loop import (
    Epoch,
    Training,
    accuracy,
    batches,
    finish,
    learning_rate,
    predict,
    predict_logits,
    require_finite_weights,
    train_on_set,
)
from .settings import SetTrainingConfig

__all__ = [
    "Epoch",
    "SetTrainingConfig",
    "Training",
    "accuracy",
    "batches",
    "finish",
    "learning_rate",
    "predict",
    "predict_logits",
    "require_finite_weights",
    "train_on_set",
]
