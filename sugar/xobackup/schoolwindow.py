# SPDX-License-Identifier: GPL-3.0-or-later
"""The window over the Journal that shows what the school server keeps of it."""

import logging
import time

from gi.repository import Gdk
from gi.repository import GLib
from gi.repository import Gtk

from sugar3.graphics import style
from sugar3.graphics.alert import ErrorAlert
from sugar3.graphics.alert import NotifyAlert

from jarabe.model import shell

from xobackup import words
from xobackup.bringback import BringBack
from xobackup.daemon import Error
from xobackup.daemon import get_daemon
from xobackup.daylist import DayList
from xobackup.schoolbars import BottomBar
from xobackup.schoolbars import TopBar
from xobackup.schoolpage import Message
from xobackup.snapshot import Snapshot
from xobackup.snapshotview import SnapshotListView
from xobackup.words import _


class SchoolWindow(Gtk.Window):
    """First the days, then the entries of one.

    While entries are brought back it can be closed: it is hidden then, and what becomes
    of them is said in the Journal.
    """

    __gtype_name__ = 'XoBackupSchoolWindow'

    def __init__(self, journal):
        Gtk.Window.__init__(self)
        self._journal = journal
        self._daemon = get_daemon()
        self._turn = 0
        self._snapshot = None
        self._sought = ''  # the text that is searched for
        self._bringing = None
        self._alert = None
        self._clicked = None  # when something was asked for that is not drawn yet
        self._activity = None
        self._build()
        self._place()

    def open(self):
        """Shows the days, or how far it is with what comes back."""
        if self._bringing is None and not self.get_visible():
            self._clicked = time.monotonic()
            self._ask_days()
        self.present()

    def leave(self):
        self.hide()
        if self._bringing is None:
            self._forget()

    def _forget(self):
        self._turn += 1  # nobody waits for an answer any more
        self._drop_alert()
        self._list.clear()
        self._days.show_days([])

    # How it looks.

    def _build(self):
        self._box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL)
        self.add(self._box)
        self._top = TopBar()
        self._top.connect('back', lambda bar: self._ask_days())
        self._top.connect('search', lambda bar, text: self._search(text))
        self._top.connect('select-all', lambda bar: self._list.toggle_all())
        self._top.connect('close', lambda bar: self.leave())
        self._box.pack_start(self._top, False, False, 0)
        self._message = Message()
        self._days = DayList()
        self._days.connect('chosen', lambda days, snapshot: self._choose(snapshot))
        self._days.connect_after('draw', lambda days, context: self._drawn('the days'))
        self._list = SnapshotListView()
        self._list.connect('selection-changed', lambda view, n: self._show_chosen())
        self._list.connect('clear-clicked', lambda view: self._top.clear_search())
        self._list.connect_after('draw', lambda view, context: self._drawn('the first page'))
        self._pages = Gtk.Stack()
        for page in (self._message, self._days, self._list):
            self._pages.add(page)
            page.show()
        self._box.pack_start(self._pages, True, True, 0)
        self._bottom = BottomBar()
        self._bottom.connect('bring', lambda bar: self._bring(self._selected()))
        self._bottom.connect('bring-all', lambda bar: self._bring(None))
        self._bottom.connect('stop', lambda bar: self._bringing.stop())
        self._box.pack_start(self._bottom, False, False, 0)
        for widget in (self._box, self._top, self._pages):
            widget.show()

    def _place(self):
        """Over the Journal, of which an edge stays in sight where there is room."""
        width, height = Gdk.Screen.width(), Gdk.Screen.height()
        margin = style.GRID_CELL_SIZE if width > 13 * style.GRID_CELL_SIZE else 0
        self.set_size_request(width - 2 * margin, height - 2 * margin)
        self.set_title(_('Restore from school server'))
        self.set_decorated(False)
        self.set_resizable(False)
        self.set_border_width(2 * style.LINE_WIDTH)
        self.modify_bg(Gtk.StateType.NORMAL, style.COLOR_BUTTON_GREY.get_gdk_color())
        self.set_position(Gtk.WindowPosition.CENTER_ALWAYS)
        self.set_type_hint(Gdk.WindowTypeHint.DIALOG)
        self.set_transient_for(self._journal)
        self.connect('key-press-event', self.__key_press_event_cb)
        self.connect('delete-event', self.__delete_event_cb)
        self.connect('show', self.__show_cb)
        self.connect('hide', self.__hide_cb)

    def __show_cb(self, window):
        self._activity = shell.get_model().get_active_activity()
        if self._activity is not None:
            self._activity.push_shell_window(self)

    def __hide_cb(self, window):
        if self._activity is not None:
            self._activity.pop_shell_window(self)
            self._activity = None

    def __key_press_event_cb(self, window, event):
        if Gdk.keyval_name(event.keyval) == 'Escape' and not self._top.typing():
            self.leave()
            return True
        return False

    def __delete_event_cb(self, window, event):
        self.leave()
        return True

    # The days.

    def _ask_days(self):
        self._forget()
        self._top.show_title(_('Restore from school server'))
        self._say(_('One moment…'))
        self._daemon.call('ListSnapshots', (), *self._if_current(self._days_came, self._cannot(self._ask_days)))

    def _days_came(self, snapshots):
        snapshots = [Snapshot(self._daemon, properties) for properties in snapshots]
        snapshots = [snapshot for snapshot in snapshots if snapshot.can_be_asked()]
        if not snapshots:
            self._cannot(self._ask_days)(Error('NoSnapshot', ''))
            return
        snapshots[0].warm()  # it is the one that most are looking for
        self._top.show_title(_('Restore from school server: which day?'))
        self._days.show_days(snapshots)
        self._pages.set_visible_child(self._days)
        self._days.grab_focus()

    # The entries of a day.

    def _choose(self, snapshot):
        self._clicked = time.monotonic()
        self._snapshot = snapshot
        self._top.show_search(snapshot.when())
        self._list.clear()
        self._say(_('One moment…'))
        self._search('')

    def _search(self, text):
        self._sought = text
        found, failed = self._if_current(self._found, self._cannot(lambda: self._search(text)))
        self._snapshot.search(text, found, failed)

    def _found(self, model):
        # A page may fail to come while another text is searched for already.
        model.when_failed(self._cannot(lambda: self._search(self._sought)))
        self._list.show_model(model)
        if self._pages.get_visible_child() is not self._list:
            self._pages.set_visible_child(self._list)
            self._list.tree_view.grab_focus()
        self._show_chosen()

    def _selected(self):
        return self._list.get_model().get_selected_items()

    def _show_chosen(self):
        self._bottom.show_chosen(len(self._selected()), self._snapshot.entries, bool(self._sought))
        self._bottom.show()

    # Bringing back.

    def _bring(self, uids):
        self._drop_alert()
        if uids is not None and len(uids) == self._snapshot.entries:
            uids = None
        self._bringing = BringBack(self._daemon, self._snapshot.id, uids)
        self._bringing.connect('progress', self.__progress_cb)
        self._bringing.connect('came', self.__came_cb)
        self._bringing.connect('over', self.__over_cb)
        self._list.set_sensitive(False)
        self._top.set_busy(True)
        self.__progress_cb(self._bringing)
        self._bringing.start()

    def __progress_cb(self, bringing):
        self._bottom.show_progress(bringing.fraction(), bringing.seconds_left(), bringing.waits())

    def __came_cb(self, bringing, uid):
        self._list.get_model().set_selected(uid, False)

    def __over_cb(self, bringing, error):
        self._bringing = None
        self._list.set_sensitive(True)
        self._top.set_busy(False)
        if error is None or not self.get_visible():
            self._tell(self._journal, bringing.said(error), error)
            self.leave()
        else:
            self._tell(self, bringing.said(error), error)
            self._show_chosen()

    def _tell(self, window, title, error):
        """Says what became of it, in an alert of a window's."""
        alert = NotifyAlert(10) if error is None else ErrorAlert()
        alert.props.title = title
        alert.props.msg = GLib.markup_escape_text(words.failure(error)) if error is not None else ''
        alert.connect('response', lambda alert, response: window.remove_alert(alert))
        window.add_alert(alert)
        alert.show()

    def add_alert(self, alert):
        """As the Journal's window has it."""
        self._alert = alert
        self._box.pack_start(alert, False, False, 0)
        self._box.reorder_child(alert, 1)

    def remove_alert(self, alert):
        if alert is self._alert:
            self._drop_alert()

    def _drop_alert(self):
        if self._alert is not None:
            self._box.remove(self._alert)
            self._alert = None

    def _drawn(self, what):
        if self._clicked is not None:
            logging.info('backup: %s after %d ms', what, (time.monotonic() - self._clicked) * 1000)
            self._clicked = None

    # What cannot be shown, and what nobody waits for any more.

    def _say(self, text, again=None):
        """Shows a sentence instead of a list; again: what can be tried again."""
        self._message.say(text, again, self.leave if again is not None else None)
        self._pages.set_visible_child(self._message)
        self._bottom.hide()

    def _cannot(self, again):
        return lambda error: self._say(words.failure(error), again)

    def _if_current(self, *functions):
        """The functions, for as long as nothing else is asked for and the window is there."""
        self._turn += 1
        turn = self._turn

        def only(function):
            return lambda *answer: function(*answer) if self._turn == turn else None
        return [only(function) for function in functions]
