"""samovar-laptop: ONNX Runtime behind samovar's Runtime protocol, and the bundled model tiny."""
