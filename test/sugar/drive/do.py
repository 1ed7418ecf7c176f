"""Does on the screen what its arguments say, in order:

    key F6                     press it
    frame NAME                 open the frame, and click that there
    panel NAME                 open the control panel, and click that there
    click NAME                 what has such a name or text, a regular expression
    type TEXT
    see NAME, gone NAME        wait for it
    no NAME                    it is not there now
    colour #00A0FF MIN NAME    that many pixels of it are where NAME is
    choose NAME                from the combo box
    shoot FILE                 make a picture

What Sugar says in its own words is looked for in the shell's language: {Backup}.
"""

import gettext
import re
import sys
import time

import screen


def colour(arguments):
    code, least, name = arguments.split(' ', 2)

    def enough():
        found = screen.colours(screen.see(name))
        if found.get(code, 0) < int(least):
            print(code, found.get(code, 0), 'times', file=sys.stderr)
            return False
        return True
    screen.await_('enough of %s in %s' % (code, name), enough)


def insist(key, name):
    """Presses a key until there is what it opens: a shell that is just starting does not
    heed it."""
    def opened():
        screen.key(key)
        end = time.time() + 3
        while time.time() < end and not screen.look(name):
            time.sleep(0.1)
        return screen.look(name)
    screen.await_(name, opened)
    screen.click(name)


def no(name):
    screen.check(screen.look(name) is None, '%s is there' % name)


def choose(name):
    """Of the list that the combo box opens."""
    screen.click('', 'combo box')
    screen.click(name, 'menu item')
    screen.see_gone('', 'menu')


DOES = {
    'key': screen.key, 'frame': lambda name: insist('F6', name), 'panel': lambda name: insist('alt+shift+m', name),
    'click': screen.click, 'type': screen.type_, 'see': screen.see, 'gone': screen.see_gone, 'no': no,
    'colour': colour, 'choose': choose, 'shoot': screen.shoot,
}


def spoken(words):
    return re.sub(r'{(.*?)}', lambda m: gettext.dgettext('sugar', m.group(1)), words)


screen.await_('the shell', screen.shell)
for step in sys.argv[1:]:
    verb, _, what = step.partition(' ')
    screen.step = step
    DOES[verb](spoken(what))
