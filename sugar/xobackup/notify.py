# SPDX-License-Identifier: GPL-3.0-or-later
"""What a child is told while it does something else: Sugar's own notifications."""

from gi.repository import Gio
from gi.repository import GLib

from xobackup import icon_file
from xobackup.words import _

_NAME = 'org.freedesktop.Notifications'
_PATH = '/org/freedesktop/Notifications'
_SHOWN = 15000  # milliseconds on the screen; in the frame it stays


def notify(summary, body, icon='fresh'):
    """Without waiting: the shell itself shows it."""
    try:
        bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    except GLib.Error:
        return
    hints = {'x-sugar-icon-file-name': GLib.Variant('s', icon_file(icon))}
    # Sugar takes the summary for markup, and not the body.
    arguments = (_('School backup'), 0, '', GLib.markup_escape_text(summary), body, [], hints, _SHOWN)
    bus.call(_NAME, _PATH, _NAME, 'Notify', GLib.Variant('(susssasa{sv}i)', arguments), None,
             Gio.DBusCallFlags.NO_AUTO_START, -1, None, None)
