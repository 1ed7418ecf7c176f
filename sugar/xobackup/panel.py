# SPDX-License-Identifier: GPL-3.0-or-later
"""What Sugar's backup panel cannot be told by a backend's signals.

After a failure it would show 'Operation started' for ever, and before a restore it
says that the Journal will be emptied, which ours does not do. So its label is
written here. These are Sugar's own insides, of 0.120: where they are different, a
failure is told by a notification, and the rest is left as it is.
"""

import logging
import textwrap

from gi.repository import GLib
from gi.repository import Gtk

from xobackup.notify import notify
from xobackup.words import _


# Characters of a line: the panel grows with its text, over the edges of a small screen.
_WIDTH = 50


def fit(text):
    return textwrap.fill(text, _WIDTH)


def say(operator, text):
    """Writes beside the progress bar."""
    _change(operator, lambda panel: panel._message_label.set_text(fit(text)))


def confirm(operator, text):
    """Says what a restore does, as soon as the panel has said what others do."""
    GLib.idle_add(say, operator, text)


def fail(operator, text):
    """Says why it failed, and lets one try again, or leave."""
    def show(panel):
        panel._progress_bar.hide()
        panel._show_error_message(fit(text))
        panel._view.props.is_cancellable = True
    if not _change(operator, show):
        notify(_('It did not work'), text, 'alarm')


def _change(operator, change):
    """Tells whether it was done."""
    try:
        panel = _find(operator)
        if panel is None:
            return False
        change(panel)
        return True
    except Exception:
        logging.exception('backup: this is not the panel that we know')
        return False


def _find(operator):
    """The panel that shows an operation, if it is still there."""
    for window in Gtk.Window.list_toplevels():
        view = getattr(window, '_section_view', None)
        for panel in view.get_children() if view is not None else ():
            if getattr(panel, '_operator', None) is operator:
                return panel
    return None
