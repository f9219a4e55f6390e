"""The verify stage, and beside it the campaigns that show that it can be relied on."""
