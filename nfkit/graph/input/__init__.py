"""What goes into a model: type, layout and valid range (`spec`), and how they are found (`discovery`)."""
