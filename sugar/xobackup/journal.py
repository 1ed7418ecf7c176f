# SPDX-License-Identifier: GPL-3.0-or-later
"""The button in the Journal's toolbar that opens what the school server keeps.

The Journal loads no extensions, so its toolbar is changed while it runs, and nothing
of it on the disk. Whatever the button needs is loaded when it is pressed.
"""

import logging
import sys

from gi.repository import GLib

from xobackup.words import _

_EVERY = 250  # milliseconds between two looks for the Journal


def watch():
    """Waits for the Journal, which is made after all extensions were loaded."""
    GLib.timeout_add(_EVERY, _look)


def _look():
    # Asking for it by get_journal() would make it too early.
    module = sys.modules.get('jarabe.journal.journalactivity')
    journal = getattr(module, '_journal', None)
    if journal is None:
        return True
    try:
        _Button(journal)
    except Exception:
        logging.exception('backup: the Journal gets no button')
    return False


class _Button(object):
    """The button, and the window that it opens: always the same, since the Journal's list,
    of which it has one, is never freed."""

    def __init__(self, journal):
        from sugar3.graphics.icon import Icon
        from sugar3.graphics.toolbutton import ToolButton
        from sugar3.graphics.xocolor import XoColor

        self._journal = journal
        self._window = None
        button = ToolButton()
        # White on the toolbar's grey, as its other icons; a named one would be black.
        icon = Icon(icon_name='school-server', xo_color=XoColor('#FFFFFF,#282828'))
        button.set_icon_widget(icon)
        icon.show()
        button.set_tooltip(_('Restore from school server'))
        button.connect('clicked', self.__clicked_cb)
        # This toolbar and not the class, which the chooser of objects has as well. After
        # the search: what comes last disappears behind an arrow on a small screen.
        toolbox = journal._main_toolbox
        toolbox.toolbar.insert(button, 1)
        button.show()
        _make_room(toolbox)

    def __clicked_cb(self, button):
        try:
            self._open()
        except Exception:
            logging.exception('backup: the window does not open')

    def _open(self):
        if self._window is None:
            from xobackup.schoolwindow import SchoolWindow
            self._window = SchoolWindow(self._journal)
        self._window.open()


def _make_room(toolbox):
    """On a small screen the toolbar gives the search all that its own buttons leave: it is
    told of a width without our button's."""
    from sugar3.graphics import style

    toolbox.search_entry.set_width_chars(8)  # at the least
    update_buttons = getattr(toolbox, '_update_buttons', None)
    if update_buttons is not None:
        toolbox._update_buttons = lambda width: update_buttons(width - style.GRID_CELL_SIZE)
