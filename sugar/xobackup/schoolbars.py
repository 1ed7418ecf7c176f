# SPDX-License-Identifier: GPL-3.0-or-later
"""What is above and below the list of a snapshot's entries."""

from gettext import gettext as sugar_word  # words that Sugar has itself

from gi.repository import GLib
from gi.repository import GObject
from gi.repository import Gtk
from gi.repository import Pango

from sugar3.graphics import iconentry
from sugar3.graphics import style
from sugar3.graphics.toolbarbox import ToolbarBox
from sugar3.graphics.toolbutton import ToolButton

from xobackup import words
from xobackup.words import _

_TYPING = 500  # milliseconds without a key: then the search begins


class TopBar(ToolbarBox):
    """Back, the title or a search, choosing all that is found, and close."""

    back = GObject.Signal('back')
    search = GObject.Signal('search', arg_types=[str])
    select_all = GObject.Signal('select-all')
    close = GObject.Signal('close')

    def __init__(self):
        ToolbarBox.__init__(self, padding=0)
        self._timer = None
        self._searched = ''
        rtl = Gtk.Widget.get_default_direction() == Gtk.TextDirection.RTL
        self._back = self._add_button('go-next' if rtl else 'go-previous', sugar_word('Back'), self.back)
        self._title = Gtk.Label(xalign=0, margin_start=style.DEFAULT_SPACING)
        self._title.set_ellipsize(Pango.EllipsizeMode.END)
        self._title_item = self._add(self._title)
        self._entry = iconentry.IconEntry()
        self._entry.set_icon_from_name(iconentry.ICON_ENTRY_PRIMARY, 'entry-search')
        self._entry.add_clear_button()
        self._entry.connect('activate', self.__activate_cb)
        self._entry.connect('changed', self.__changed_cb)
        self._entry_item = self._add(self._entry)
        self._select = self._add_button('select-all', sugar_word('Select all'), self.select_all)
        self._add_button('dialog-cancel', sugar_word('Close'), self.close)

    def _add(self, widget):
        item = Gtk.ToolItem()
        item.set_expand(True)
        item.add(widget)
        widget.show()
        self.toolbar.insert(item, -1)
        return item

    def _add_button(self, icon, label, signal):
        button = ToolButton(icon)
        button.set_tooltip(label)
        button.connect('clicked', lambda button: signal.emit())
        self.toolbar.insert(button, -1)
        button.show()
        return button

    def show_title(self, title):
        self._title.set_markup('<b><span foreground="white">%s</span></b>' % GLib.markup_escape_text(title))
        self._switch(False)

    def show_search(self, where):
        """An empty search entry, for searching there."""
        self._searched = ''
        self._entry.set_text('')
        what = sugar_word('Search in %s') % where
        self._entry.set_placeholder_text(what)
        self._entry.get_accessible().set_name(what)
        self._switch(True)

    def clear_search(self):
        self._entry.set_text('')

    def typing(self):
        return self._entry.has_focus() and self._entry.get_text() != ''

    def set_busy(self, busy):
        """While entries come back, nothing else can be looked at."""
        for item in (self._back, self._entry_item, self._select):
            item.set_sensitive(not busy)

    def _switch(self, searching):
        self._title_item.set_visible(not searching)
        for item in (self._back, self._entry_item, self._select):
            item.set_visible(searching)

    def __changed_cb(self, entry):
        self._forget_timer()
        self._timer = GLib.timeout_add(_TYPING if entry.get_text() else 0, self.__activate_cb)

    def __activate_cb(self, *arguments):
        self._forget_timer()
        text = self._entry.get_text().strip()
        if text != self._searched:
            self._searched = text
            self.search.emit(text)
        return False

    def _forget_timer(self):
        if self._timer is not None:
            GLib.source_remove(self._timer)
            self._timer = None


class BottomBar(Gtk.EventBox):
    """What is chosen and what can be done with it; how far that is, while it is done."""

    __gtype_name__ = 'XoBackupBottomBar'

    bring = GObject.Signal('bring')
    bring_all = GObject.Signal('bring-all')
    stop = GObject.Signal('stop')

    def __init__(self):
        Gtk.EventBox.__init__(self)
        self.modify_bg(Gtk.StateType.NORMAL, style.COLOR_PANEL_GREY.get_gdk_color())
        self._chosen = Gtk.Label(xalign=0)
        self._bring = _button(_('Bring back'), self.bring)
        self._bring_all = _button(_('Bring everything back'), self.bring_all)
        self._choosing = _row(self._chosen, self._bring, self._bring_all)
        self._bar = Gtk.ProgressBar(valign=Gtk.Align.CENTER)
        self._left = Gtk.Label()
        self._stop = _button(sugar_word('Stop'), self.stop)
        self._working = _row(self._bar, self._left, self._stop)
        self._stack = Gtk.Stack()
        self._stack.add(self._choosing)
        self._stack.add(self._working)
        self.add(self._stack)
        self._stack.show()

    def show_chosen(self, chosen, entries, searching):
        if chosen:
            self._chosen.set_text(_('%(chosen)d of %(entries)s') % {'chosen': chosen, 'entries': words.entries(entries)})
        else:
            self._chosen.set_text(_('What should come back?'))
        self._bring.set_visible(chosen > 0)
        self._bring_all.set_visible(not chosen and not searching)
        self._stack.set_visible_child(self._choosing)

    def show_progress(self, fraction, seconds_left, waits):
        if fraction is None:
            self._bar.pulse()
        else:
            self._bar.set_fraction(fraction)
        self._left.set_text(_('Waiting for the school server…') if waits else words.left(seconds_left))
        self._stack.set_visible_child(self._working)


def _button(label, signal):
    button = Gtk.Button(label=label)
    button.connect('clicked', lambda button: signal.emit())
    return button


def _row(first, *others):
    row = Gtk.Box(spacing=style.DEFAULT_SPACING)
    row.set_border_width(style.DEFAULT_PADDING)
    row.pack_start(first, True, True, style.DEFAULT_SPACING)
    for other in others:
        row.pack_start(other, False, False, 0)
    row.show_all()
    return row
