# SPDX-License-Identifier: GPL-3.0-or-later
"""The days of which the school server keeps the Journal, to choose one."""

from gi.repository import GObject
from gi.repository import Gtk

from sugar3 import profile
from sugar3.graphics import style
from sugar3.graphics.icon import Icon

from xobackup import words
from xobackup.words import _

# Sugar's theme knows no list of this kind.
_STYLE = """
list, row { background-color: %s; }
row { border-bottom: %dpx solid %s; }
row:hover, row:focus { background-color: %s; }
""" % (style.COLOR_WHITE.get_html(), style.LINE_WIDTH, style.COLOR_TEXT_FIELD_GREY.get_html(),
       style.COLOR_HIGHLIGHT.get_html())


class DayList(Gtk.ScrolledWindow):
    """chosen is emitted with a Snapshot."""

    __gtype_name__ = 'XoBackupDayList'

    chosen = GObject.Signal('chosen', arg_types=[object])

    def __init__(self):
        Gtk.ScrolledWindow.__init__(self)
        self.set_policy(Gtk.PolicyType.NEVER, Gtk.PolicyType.AUTOMATIC)
        self._list = Gtk.ListBox()
        self._list.set_selection_mode(Gtk.SelectionMode.NONE)
        self._list.connect('row-activated', self.__row_activated_cb)
        self._look = Gtk.CssProvider()
        self._look.load_from_data(_STYLE.encode())
        self._wear(self._list)
        self.add(self._list)
        self._list.show()

    def show_days(self, snapshots):
        """snapshots: those to choose from, the newest first."""
        for row in self._list.get_children():
            self._list.remove(row)
        for snapshot in snapshots:
            row = _row(snapshot)
            self._wear(row)
            self._list.add(row)

    def do_grab_focus(self):
        first = self._list.get_row_at_index(0)
        if first is not None:
            first.grab_focus()

    def _wear(self, widget):
        widget.get_style_context().add_provider(self._look, Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION)

    def __row_activated_cb(self, list_, row):
        self.chosen.emit(row.snapshot)


def _row(snapshot):
    row = Gtk.ListBoxRow()
    row.snapshot = snapshot
    box = Gtk.Box(spacing=style.DEFAULT_SPACING)
    box.set_size_request(-1, style.GRID_CELL_SIZE)
    row.add(box)
    icon = Icon(icon_name='activity-journal', pixel_size=style.SMALL_ICON_SIZE, xo_color=profile.get_color())
    box.pack_start(icon, False, False, style.DEFAULT_SPACING)
    text = _('%(day)s – %(entries)s') % {'day': snapshot.when(), 'entries': words.entries(snapshot.entries)}
    label = Gtk.Label(label=text, xalign=0)
    label.set_ellipsize(style.ELLIPSIZE_MODE_DEFAULT)
    box.pack_start(label, True, True, 0)
    row.get_accessible().set_name(text)
    row.show_all()
    return row
