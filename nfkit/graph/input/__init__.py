"""What goes into a model: type, layout and valid range (`spec`), how to find them (`discovery`)."""
