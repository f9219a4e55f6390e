"""The verify stage, and the campaigns that measure how reliable it is."""
