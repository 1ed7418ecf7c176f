"""Eyes and hands of a test on Sugar's screen: clicks, not calls.

What is on the screen is found by its accessible name, which is its label or what
get_accessible().set_name() said, and clicked by the mouse where it is.
"""

import os
import re
import subprocess
import sys
import time

import pyatspi

step = None  # what is being done, for who has to find out why a test failed
PATIENCE = 60  # seconds that what must happen may take on a slow machine


def shell():
    """The shell's accessible; there may be another shell on this laptop."""
    for application in pyatspi.Registry.getDesktop(0):
        if application and application.get_process_id() == int(os.environ['SHELL_PID']):
            return application
    return None


def everything(root=None):
    """All that is showing, from the top on."""
    stack = [root or shell()]
    while stack:
        node = stack.pop()
        try:
            if node is None:
                continue
            if node.getRole() not in (pyatspi.ROLE_APPLICATION,) and \
                    not node.getState().contains(pyatspi.STATE_SHOWING):
                continue
            children = [node.getChildAtIndex(i) for i in range(node.childCount)]
        except Exception:
            continue  # it went away while we looked
        yield node
        stack.extend(reversed(children))


def text_of(node):
    """Its text, wherever the lines break."""
    try:
        return ' '.join(node.queryText().getText(0, -1).split())
    except Exception:
        return ''


def look(name, role=None):
    """The first that is showing with such a name or text (a regular expression)."""
    for node in everything():
        try:
            if role is not None and node.getRoleName() != role:
                continue
            if re.search(name, ' '.join((node.name or '').split())) or re.search(name, text_of(node)):
                return node
        except Exception:
            continue
    return None


def await_(what, condition):
    end = time.time() + PATIENCE
    while time.time() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    print('waited in vain for', what, 'at', step, file=sys.stderr)
    dump()
    shoot('failed')
    sys.exit(1)


def see(name, role=None):
    return await_(name, lambda: look(name, role))


def see_gone(name, role=None):
    await_('the end of %s' % name, lambda: look(name, role) is None)


def check(condition, message):
    if not condition:
        print(message, file=sys.stderr)
        dump()
        shoot('failed')
        sys.exit(1)


def box(node):
    e = node.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
    return e.x, e.y, e.width, e.height


def still(name, role=None):
    """Where something is once it has stopped moving, as the frame does when it opens."""
    before = now = None
    end = time.time() + PATIENCE
    while time.time() < end and (now is None or now != before or min(now) < 0):
        before = now
        now = box(name if not isinstance(name, str) else see(name, role))
        time.sleep(0.03)
    return now


def click(name, role=None, button=1):
    x, y, width, height = still(name, role)
    point(x + width // 2, y + height // 2, button)


def point(x, y, button=1):
    run('xdotool', 'mousemove', str(x), str(y), 'click', str(button))


def hover(name, role=None):
    x, y, width, height = still(name, role)
    run('xdotool', 'mousemove', str(x + width // 2), str(y + height // 2))


def key(*names):
    for name in names:
        run('xdotool', 'key', name)


def type_(text):
    run('xdotool', 'type', '--delay', '20', text)


def shoot(name):
    """A picture, where pictures are wanted (SHOTS) or something failed."""
    folder = os.environ.get('SHOTS')
    if not folder:
        return
    time.sleep(0.5)  # for the last movement to end
    run('import', '-window', 'root', os.path.join(folder, name + '.png'))


def colours(node):
    """How many pixels there are of each colour where something is."""
    x, y, width, height = box(node)
    said = run('import', '-window', 'root', '-crop', '%dx%d+%d+%d' % (width, height, x, y), '+repage',
               '-depth', '8', '-format', '%c', 'histogram:info:-')
    found = re.findall(r'^ *(\d+):.*?(#[0-9A-F]{6})', said, re.M)
    return {code: int(count) for count, code in found}


def dump():
    """All that is showing, for who has to find out why a test failed."""
    for node in everything():
        try:
            print(node.getRoleName(), repr(node.name), repr(text_of(node))[:60], box(node), file=sys.stderr)
        except Exception:
            continue


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
