"""journal_steps.py STEPS: does what the lines of STEPS say, one after the other.

open            the Journal, by its key
see TEXT        waits until our window, or the Journal, says so
no TEXT         waits until it does not
press LABEL     clicks a button
day TEXT        clicks a day in our window's list
choose TITLE    clicks an entry in its list
tick TITLE      clicks the box beside an entry
entry TITLE     waits until an entry is in our window's list
noentry TITLE   waits until it is not
journal TITLE   waits until an entry is in the Journal behind
search TEXT     types into our search
closed          waits until our window is away
scroll N        turns the wheel over the list
pause N         for so many seconds
key KEYS        are pressed
shoot FILE      makes a picture
dump            prints what is on the screen
"""
import re
import sys
import time

import pyatspi

import screen

OURS = 'Restore from school server'
CELLS = 200  # of a list


def ours():
    """Our window."""
    return next((w for w in screen.shell() if w and w.name == OURS and w.queryComponent().getSize()[0] > 1), None)


def journal():
    """The Journal's; the home view has no name."""
    return next((w for w in screen.shell() if w and w.name and w.name != OURS), None)


def everything(of=None):
    """What our window says, or the Journal where it is not there; of a long list only
    the beginning, since each cell is a question to the shell."""
    stack = [of or ours() or journal()]
    while stack:
        node = stack.pop()
        try:
            if node is None or not node.getState().contains(pyatspi.STATE_SHOWING):
                continue
            first = min(node.childCount, CELLS if node.getRoleName() == 'table' else 1000)
            children = [node.getChildAtIndex(i) for i in range(first)]
        except Exception:
            continue  # it went away while we looked
        yield node
        stack.extend(reversed(children))


def find(role, name, of=None):
    """What is on the screen with such a role ('': any) and a name or text like that."""
    for node in everything(of):
        try:
            x, y, width, height = screen.box(node)
            if x >= 0 and y >= 0 and width > 0 and role in ('', node.getRoleName()) and \
                    (re.search(name, node.name or '') or re.search(name, screen.text_of(node))):
                return node
        except Exception:
            continue  # it went away while we looked
    return None


def say(text):
    return find('', text)


def click(role, name):
    screen.click(screen.await_('%s %s' % (role, name), lambda: find(role, name)))


def cell(title, of=ours):
    window = of()
    return window and find('table cell', title, window)


def tick(title):
    node = screen.await_('the entry ' + title, lambda: cell(title))
    x, y, width, height = screen.box(node)
    row = [n for n in everything(ours()) if n.getRoleName() == 'table cell' and screen.box(n)[1] == y]
    left = min(screen.box(n)[0] for n in row)
    screen.point(left + 15, y + height // 2)


def search(text):
    click('text', 'Search in ')
    screen.key('ctrl+a', 'BackSpace')
    if text:
        screen.type_(text)


def scroll(n):
    x, y, width, height = screen.box(ours())
    screen.run('xdotool', 'mousemove', str(x + width // 2), str(y + height // 2))
    screen.run('xdotool', 'click', '--delay', '20', '--repeat', n, '5')


def open_journal(_):
    screen.key('F5')
    screen.await_('the Journal', lambda: journal() and journal().getState().contains(pyatspi.STATE_ACTIVE))
    screen.await_('the button', lambda: find('push button', OURS))


def wait(what, condition):
    return lambda text: screen.await_('%s %s' % (what, text), lambda: condition(text))


STEPS = {
    'open': open_journal,
    'see': wait('see', say),
    'no': wait('no', lambda text: not say(text)),
    'press': lambda label: click('push button', '^%s$' % label),
    'day': lambda text: click('list item', text),
    'choose': lambda title: click('table cell', title),
    'tick': tick,
    'entry': wait('the entry', cell),
    'noentry': wait('no entry', lambda title: not cell(title)),
    'journal': wait('in the Journal', lambda title: cell(title, journal)),
    'search': search,
    'closed': wait('closed', lambda _: ours() is None),
    'scroll': scroll,
    'pause': lambda seconds: time.sleep(float(seconds)),
    'key': lambda keys: screen.key(*keys.split()),
    'shoot': screen.shoot,
    'dump': lambda _: screen.dump(),
}

screen.await_('the shell', screen.shell)
for line in sys.argv[1].splitlines():
    verb, _, argument = line.strip().partition(' ')
    if verb:
        began = time.monotonic()
        STEPS[verb](argument)
        print('%s  (%.1f s)' % (line.strip(), time.monotonic() - began), flush=True)
