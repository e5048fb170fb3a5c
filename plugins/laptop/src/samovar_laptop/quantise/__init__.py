"""Post-training quantisation of ONNX graphs to int8, with onnx, numpy and ONNX Runtime alone."""
