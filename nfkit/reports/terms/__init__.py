"""What the words of a result mean: one short text a term, which `nfkit explain` prints; a module a subject.

A new word in an output is a new entry in the module of its subject.
"""

from __future__ import annotations

import difflib

from nfkit.errors import OptionError
from nfkit.reports.terms import campaigns, energy, faults, figures, files, generators, plans
from nfkit.reports.terms.term import Term

_SUBJECTS = (faults, energy, generators, plans, figures, files, campaigns)

TERMS: dict[str, Term] = {term.name: term for subject in _SUBJECTS for term in subject.TERMS}
"""All terms by name, in the order in which they build on each other."""


def find_term(word: str) -> Term:
    """The term that a word stands for, whatever its case.

    Raises:
        OptionError: When there is none; names those that are spelt much like it.
    """
    spellings = {said.lower(): (said, term) for term in TERMS.values() for said in (term.name, *term.others)}
    wanted = " ".join(word.lower().split())
    if wanted in spellings:
        return spellings[wanted][1]
    near = [spellings[match][0] for match in difflib.get_close_matches(wanted, spellings, 3, 0.6)]
    hint = f"did you mean {' or '.join(near)}?" if near else "nfkit explain lists all"
    raise OptionError(f"there is no entry for {word!r}: {hint}")
