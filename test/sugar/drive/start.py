"""The shell starts, and its frame opens."""
from screen import await_, key, look, shell, shoot

await_('the shell', shell)
key('F6')
await_('the frame', lambda: look('Journal'))
shoot('frame')
