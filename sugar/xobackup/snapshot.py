# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot at school, as the Journal's list wants to have it.

The list asks its model for a row when it draws it, and cannot wait. So what has not
come yet is drawn as an empty entry, and drawn again when it has come.
"""

import json
import time

from gi.repository import GLib
from gi.repository import Gtk

from jarabe.journal.listmodel import ListModel
from jarabe.journal.model import BaseResultSet
from jarabe.journal import misc
from jarabe.journal import model

from xobackup.words import _

_DATASTORE = 'org.laptop.sugar.DataStore'

# All that the list shows. Previews would be most of what travels, and it has none.
_PROPERTIES = [name for name in model.PROPERTIES if name not in ('preview', 'mountpoint')]

_PAGE = 30


class Snapshot(object):
    """One of org.laptop.Backup's snapshots, an element of ListSnapshots' answer."""

    def __init__(self, daemon, properties):
        self.id = properties['id']
        self.time = properties['time']
        self.entries = properties['entries']
        self._daemon = daemon
        self._path = '/org/laptop/Backup/snapshots/' + self.id.replace('-', '_')

    def when(self):
        """'Tuesday 24 November, 14:30'"""
        then = time.localtime(self.time)
        if then.tm_year == time.localtime().tm_year:
            # TRANSLATORS: weekday, day, month, hour and minute, as strftime has them.
            return time.strftime(_('%A %-d %B, %H:%M'), then)
        return time.strftime(_('%A %-d %B %Y, %H:%M'), then)

    def warm(self):
        """Lets the daemon fetch the list of entries before it is asked for."""
        self._find({'limit': GLib.Variant('u', 1)}, None, None)

    def search(self, text, done, failed):
        """done(SnapshotModel) gets what is found, of which the first page is there."""
        query = _query(text)

        def ids_came(ids):
            found = _Found(self, query, ids)

            def page_came(entries, count):
                found.keep(entries)
                done(SnapshotModel(found))
            self.page(query, 0, page_came, failed)
        self._daemon.ask(self._path, _DATASTORE, 'find_ids', GLib.Variant('(a{sv})', (query,)), ids_came, failed)

    def page(self, query, offset, done, failed):
        self._find(dict(query, offset=GLib.Variant('u', offset), limit=GLib.Variant('u', _PAGE)), done, failed)

    def _find(self, query, done, failed):
        arguments = GLib.Variant('(a{sv}as)', (query, _PROPERTIES))
        self._daemon.ask(self._path, _DATASTORE, 'find', arguments, done, failed)


def _query(text):
    """What the Journal makes of a text: each word may be the beginning of one."""
    if not text.startswith('"'):
        text = ' '.join(word + '*' for word in text.split())
    query = {'order_by': GLib.Variant('as', ['+timestamp'])}
    if text:
        query['query'] = GLib.Variant('s', text)
    return query


class _Found(BaseResultSet):
    """What a search has found: all uids, and those pages of entries that were looked at."""

    def __init__(self, snapshot, query, ids):
        BaseResultSet.__init__(self, query, _PAGE)
        self.ids = ids
        self.came = None    # is told the positions, from and to, of entries that have come
        self.failed = None  # is told why others do not come
        self._snapshot = snapshot
        self._entries = {}
        self._asked = set([0])

    def get_length(self):
        return len(self.ids)

    length = property(get_length)

    def keep(self, entries):
        for entry in entries:
            self._entries[entry.get('uid')] = _readable(entry)

    def read(self):
        uid = self.ids[self._position]
        entry = self._entries.get(uid)
        if entry is None:
            self._ask(self._position // _PAGE)
            entry = {'uid': uid, 'title': '…'}
        return dict(entry)

    def _ask(self, page):
        if page in self._asked:
            return
        self._asked.add(page)
        start = page * _PAGE

        def page_came(entries, count):
            self.keep(entries)
            if self.came is not None:
                self.came(start, min(start + _PAGE, len(self.ids)))

        def failed(error):
            if self.failed is not None:
                self.failed(error)
        self._snapshot.page(self._query, start, page_came, failed)


def _readable(entry):
    """An entry as text, with which the Journal's model comes to grief nowhere."""
    entry = {name: _text(value) for name, value in entry.items()}
    entry['buddies'] = _buddies(entry.get('buddies'))
    if misc.is_activity_bundle(entry):
        # Its icon is in its file, which is at school.
        entry['mime_type'] = 'application/octet-stream'
    return entry


def _text(value):
    """What is not UTF-8 comes as bytes."""
    return bytes(value).decode('utf-8', 'replace') if isinstance(value, list) else str(value)


def _buddies(text):
    """Those that are a name and colours."""
    try:
        buddies = json.loads(text or '{}').items()
        return json.dumps({key: [str(nick), str(colors)] for key, (nick, colors) in buddies})
    except (AttributeError, TypeError, ValueError):
        return ''


class SnapshotModel(ListModel):
    """The Journal's model of its list, of what was found in a snapshot."""

    __gtype_name__ = 'XoBackupSnapshotModel'

    def __init__(self, found):
        ListModel.__init__(self, {})  # asks nobody until it is set up, which it never is
        self._result_set = found
        self._all_ids = found.ids
        found.came = self.__came_cb

    def set_value(self, iterator, column, value):
        """Nothing can be changed at school."""

    def do_drag_data_get(self, path, selection):
        return False

    def stop(self):
        """Nobody looks any more."""
        self._result_set.came = self._result_set.failed = None

    def when_failed(self, failed):
        self._result_set.failed = failed

    def __came_cb(self, start, end):
        self._last_requested_index = None
        for i in range(start, end):
            path = Gtk.TreePath((i,))
            self.row_changed(path, self.get_iter(path))
