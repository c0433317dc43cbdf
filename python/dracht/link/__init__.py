"""How an agent reaches an engine: in this process, over a control connection, or a fake one for tests."""
