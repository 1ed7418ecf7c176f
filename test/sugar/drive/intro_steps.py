"""intro_steps.py STEPS: does what the lines of STEPS say, one after the other.

see NAME     waits until it is on the screen
no NAME      is not on the screen
click NAME   a button
above NAME   is clicked: the figure of which that is the name
key KEYS     are pressed
keyboard LAYOUT VARIANT
type TEXT    is typed
shoot FILE   makes a picture
"""
import subprocess
import sys

import screen


def above(name):
    x, y, width, height = screen.box(screen.see(name))
    screen.point(x + width // 2, y - 20)


STEPS = {
    'see': screen.see,
    'no': lambda name: screen.check(screen.look(name) is None, '%s is on the screen' % name),
    'click': lambda name: screen.click(name, 'push button'),
    'above': above,
    'key': lambda keys: screen.key(*keys.split()),
    'keyboard': lambda layout: screen.run('setxkbmap', *layout.split()),
    'type': screen.type_,
    'shoot': screen.shoot,
}


def active():
    """Whether the wizard has the keys. It is there before the window manager is, which
    gives them to it by itself only sometimes."""
    if subprocess.run(['xdotool', 'getactivewindow'], capture_output=True).returncode == 0:
        return True
    frame = next((node for node in screen.everything() if node.getRoleName() == 'frame'), None)
    if frame is not None:
        x, y, width_, height_ = screen.box(frame)
        screen.point(x + 2, y + 2)  # a corner, where there is nothing
    return False


screen.await_('the shell', screen.shell)
screen.await_('the keys', active)
for line in sys.argv[1].splitlines():
    verb, _, argument = line.strip().partition(' ')
    if verb:
        print(line, flush=True)
        STEPS[verb](argument)
