"""Log results to TensorBoard and MLflow."""
