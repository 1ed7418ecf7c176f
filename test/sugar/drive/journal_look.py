import sys
from screen import await_, key, look, see, shell, shoot, click, dump, type_, box
from journal import *
name = sys.argv[1] if len(sys.argv) > 1 else 'journal'
open_journal()
shoot(name + '-button')
click(BUTTON)
see(' – .*entr')
shoot(name + '-days')
click(' – .*entr')
see('What should come back')
shoot(name + '-entries')
choose('My drawing', 'A tale of ')
see('Bring back')
shoot(name + '-chosen')
dump()
click('Search in .*November')
type_('dibu')
shoot(name + '-search')
type_('xxx')
shoot(name + '-nothing')
