"""One entry comes back: found by a search, chosen, brought back."""
from journal import await_, cell, choose, click, look, open_journal, open_snapshot, see, shoot, type_, journal_cell, BUTTON, see_gone

open_journal()
shoot('journal-button')
open_snapshot()
shoot('journal-entries')
click('Search in ')
type_('cast')
await_('what was found', lambda: not cell('A poem'))
choose('My castle')
see('1 of ')
shoot('journal-one')
click('^Bring back$')
see('1 entry is back')
shoot('journal-one-back')
await_('the entry in the Journal', lambda: journal_cell('My castle'))
