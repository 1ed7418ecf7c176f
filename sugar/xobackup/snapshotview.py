# SPDX-License-Identifier: GPL-3.0-or-later
"""The Journal's own list, of a snapshot: to look at and to choose from."""

from gettext import gettext as sugar_word  # words that Sugar has itself

from gi.repository import Gtk

from sugar3.graphics import style

from jarabe.journal.listmodel import ListModel
from jarabe.journal.listview import BaseListView


class SnapshotListView(BaseListView):
    """It follows nothing of what happens in the Journal here, and changes nothing there."""

    __gtype_name__ = 'XoBackupSnapshotListView'

    def __init__(self):
        BaseListView.__init__(self, None, enable_multi_operations=True)
        self._query = {'mountpoints': ['/']}
        self.tree_view.append_column(_margin())
        # A click anywhere chooses; in the Journal it would open the entry.
        self.tree_view.props.hover_selection = True
        self.tree_view.props.activate_on_single_click = True
        self.tree_view.connect('row-activated', self.__row_activated_cb)
        self.connect('selection-changed', lambda view, n: self.tree_view.queue_draw())

    def clear(self):
        """Forgets what was shown and chosen."""
        if self._model is not None:
            self._model.stop()
            self._model = None
            self.tree_view.set_model(None)

    def show_model(self, model):
        """Shows what else was found; what was chosen stays so."""
        if self._model is not None:
            model.restore_selection(self._model.get_selected_items())
            self._model.stop()
        self._model = model
        if model.get_all_ids():
            self._clear_message()
            self.tree_view.set_model(model)
            self.tree_view.props.vadjustment.props.value = 0
        else:
            self.tree_view.set_model(None)
            self._show_message(sugar_word('No matching entries'), show_clear_query=True)

    def toggle_all(self):
        """Chooses all that is shown; where that is so already, nothing of it."""
        if self._model is None:
            return
        shown, chosen = self._model.get_all_ids(), self._model.get_selected_items()
        others = sorted(set(chosen) - set(shown))
        self._model.restore_selection(others if set(shown) <= set(chosen) else others + shown)
        self.emit('selection-changed', len(self._model.get_selected_items()))

    def refresh(self, new_query=False):
        """The Journal here has changed: not what is shown."""

    def enable_drag_and_copy(self):
        """There is nothing here that could be dragged away."""

    def _is_new_item_visible(self, object_id):
        return False

    def _favorite_clicked_cb(self, cell, path):
        pass

    def __row_activated_cb(self, tree_view, path, column):
        if column == tree_view.get_column(0):
            return  # the box has been ticked by the click
        uid = self._model[path][ListModel.COLUMN_UID]
        self._model.set_selected(uid, not self._model.is_selected(uid))
        self.emit('selection-changed', len(self._model.get_selected_items()))


def _margin():
    """Where the Journal has the arrow to an entry's details."""
    column = Gtk.TreeViewColumn()
    column.props.sizing = Gtk.TreeViewColumnSizing.FIXED
    column.props.fixed_width = style.DEFAULT_SPACING
    return column
