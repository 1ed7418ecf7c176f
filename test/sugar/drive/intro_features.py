"""intro_features.py SOURCES: where Sugar's wizard has changed in what is used of it, it
is left as it is; where it has not, it gets its question."""
import logging
import sys

import gi
gi.require_version('Gtk', '3.0')
gi.require_version('Gdk', '3.0')

sys.path.insert(0, sys.argv[1])
logging.disable(logging.CRITICAL)

from jarabe.intro import window  # noqa: E402

from xobackup import hook  # noqa: E402

stock = window._IntroBox
NOTHING = object()


def left_alone(owner, name, value=NOTHING):
    """That it is with an attribute that is gone, or something else."""
    kept = getattr(owner, name)
    if value is NOTHING:
        delattr(owner, name)
    else:
        setattr(owner, name, value)
    before = getattr(window, '_IntroBox', None)
    hook._extend(window)
    if getattr(window, '_IntroBox', None) is not before:
        sys.exit('it was put into a wizard where %s of %r is %r' % (name, owner, value))
    setattr(owner, name, kept)


for name in ('_setup_page', '__next__', 'back', 'done', 'PAGES', 'PAGE_FIRST', 'PAGE_LAST'):
    left_alone(stock, name)
for name in ('_IntroBox', 'UserProfile', '_NamePage', '_ColorPage', '_AgePage', 'agepicker'):
    left_alone(window, name)
left_alone(stock, '__init__', lambda self: None)
left_alone(stock, 'done', lambda self, profile: None)
left_alone(stock, 'PAGES', ['NAME', 'COLOUR', 'GENDER', 'AGE'])
left_alone(stock, 'PAGE_LAST', 4)
left_alone(window, '_IntroBox', window._ColorPage)
left_alone(window, 'UserProfile', object)
left_alone(window._NamePage, 'set_name')
left_alone(window.agepicker, 'group_label_to_age')

hook._extend(window)
if window._IntroBox is stock or not issubclass(window._IntroBox, stock):
    sys.exit('it was not put into the wizard')
