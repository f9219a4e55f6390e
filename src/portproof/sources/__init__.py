"""A .keras file, a SavedModel, an object in memory or "module:function" becomes a Source."""
