"""The Journal and the window of the school server's snapshots, for the scripts beside."""
import re

from screen import await_, click, everything, hover, key, look, see, see_gone, shell, shoot, text_of, type_  # noqa: F401

BUTTON = 'Restore from school server'


def open_journal():
    await_('the shell', shell)
    key('F5')
    see(BUTTON)


def window():
    """Our window."""
    return next((w for w in shell() if w.name == BUTTON), None)


def cell(text, root=None):
    """An entry in the list of our window, or of another one."""
    for node in everything(root or window()):
        if node.getRoleName() == 'table cell' and re.search(text, node.name or text_of(node)):
            x, y = node.queryComponent().getPosition(0)
            if x > 0 and y > 0:
                return node
    return None


def choose(*texts):
    """Clicks entries in the list."""
    for text in texts:
        click(await_('the entry ' + text, lambda: cell(text)))


def open_snapshot(day=' – .*entr'):
    """By two clicks: the button, and a day."""
    click(BUTTON, 'push button')
    click(day)
    see('What should come back')


def journal_cell(text):
    """An entry in the Journal itself."""
    return cell(text, next((w for w in shell() if w.name == 'Journal'), None))
