"""What memories can be ranked by: metrics of a report in 0..1, the more the better."""

AVERAGE = "average_accuracy"
SCORES = {
    AVERAGE: "accuracy %",
    "weighted_average_accuracy": "accuracy over all test images %",
    "average_incremental_accuracy": "incremental accuracy %",
    "learning_accuracy": "learning accuracy %",
    "balanced_accuracy": "balanced accuracy %",
    "sensitivity": "sensitivity %",
    "specificity": "specificity %",
    "auc": "AUC %",
}
"""Name -> heading of a column."""
