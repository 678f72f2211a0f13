"""Errors that a user can mend.

Every message says what is wrong, where (node, initializer or file), and what to do about it. The command line
prints the sentence and exits with 1; anything that is not an `NfkitError` is a bug and shows its traceback.
"""


class NfkitError(Exception):
    """Base of every error that the user can mend."""


class ModelError(NfkitError):
    """The ONNX model cannot be read, or is not what the operation needs."""


class UnsupportedError(ModelError):
    """The model is valid, but holds something that nfkit cannot treat; the message names op and node."""


class DataError(NfkitError):
    """The data set is missing, malformed, or does not fit the model."""


class OptionError(NfkitError):
    """An option has a value that makes no sense here."""


class OutputError(NfkitError):
    """A result cannot be written."""


class AccessError(NfkitError):
    """A base that is only asked does not answer, or not as it should."""
