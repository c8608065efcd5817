"""The command's groups, one module each. A module has `register(app)` or an `app` of its own."""
