# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing entries back from a snapshot: one job after the other, or one for all."""

import logging
import time

from gi.repository import GLib
from gi.repository import GObject

from xobackup.daemon import Error
from xobackup.daemon import INTERFACE
from xobackup.daemon import JOB_INTERFACE
from xobackup.daemon import Job
from xobackup.daemon import PATH
from xobackup.words import _
from xobackup.words import ngettext

# What is wrong with one entry only: the others may come.
_OF_THE_ENTRY = ('NoEntry', 'Damaged')

# What passes: something else is running, or the daemon was ended and does not know the job.
_PASSES = ('Busy', 'InvalidArgument')
_TRIES = 10
_BETWEEN = 2  # seconds


class BringBack(GObject.GObject):
    """Brings some entries of a snapshot back, or all where uids is None.

    over is emitted once, with None, or an Error that says why not all is back. It goes
    on without whoever looks at it.
    """

    progress = GObject.Signal('progress')
    came = GObject.Signal('came', arg_types=[str])  # the entry of that uid is back
    over = GObject.Signal('over', arg_types=[object])

    def __init__(self, daemon, snapshot, uids=None):
        GObject.GObject.__init__(self)
        self._daemon = daemon
        self._snapshot = snapshot
        self._all = uids is None
        self._left = list(uids or [])
        self._back = 0
        self._total = len(self._left)
        self._job = None
        self._stopped = False
        self._tries = _TRIES
        self._missing = None  # the first Error of an entry that did not come
        self._began = time.monotonic()

    def start(self):
        if self._stopped:
            self._end(Error('Cancelled', ''))
        elif self._all:
            self._daemon.call('Restore', (self._snapshot,), self._follow, self._failed)
        elif self._left:
            self._daemon.call('RestoreEntry', (self._snapshot, self._left[0]), self._follow, self._failed)
        else:
            self._end(self._missing)
        return False

    def stop(self):
        self._stopped = True
        if self._job is not None:
            self._job.cancel()

    def fraction(self):
        """How much is done, 0 to 1, or None where nobody can tell."""
        if self._all:
            return self._job.fraction() if self._job is not None else None
        return (self._total - len(self._left)) / self._total

    def seconds_left(self):
        """How long it still takes, or None where nobody can tell."""
        if self._all:
            return self._job.seconds_left() if self._job is not None else None
        done = self._total - len(self._left)
        if not done:
            return None
        return (time.monotonic() - self._began) / done * len(self._left)

    def waits(self):
        """Whether the school server has to be waited for."""
        return self._job is not None and self._job.properties.get('Phase') == 'waiting'

    def said(self, error):
        """What became of it: '3 entries are back'."""
        if self._all:
            return _('Everything is back') if error is None else _('Not everything is back')
        if not self._back:
            return _('Nothing came back')
        return ngettext('%d entry is back', '%d entries are back', self._back) % self._back

    def _follow(self, path):
        self._job = Job(self._daemon, path)
        self._job.connect('progress', lambda job: self.progress.emit())
        self._job.connect('over', self.__job_over_cb)
        if self._stopped:
            self._job.cancel()

    def __job_over_cb(self, job, result, error_name, message):
        error = Error(error_name, message)
        if result in ('failed', 'cancelled') and self._all and not self._stopped and error.name not in _PASSES:
            GLib.timeout_add_seconds(1, self._go_on_or_end, error)  # it may be just about to begin
        elif result in ('failed', 'cancelled'):
            self._failed(error)
        elif self._all:
            self._end(error if result == 'partial' else None)
        else:
            self._next(error if result == 'partial' else None)

    def _next(self, error):
        """The next entry, after this one came or, with an Error, did not."""
        uid = self._left.pop(0)
        self._job = None
        self._tries = _TRIES
        if error is None:
            self._back += 1
            self.came.emit(uid)
        else:
            self._missing = self._missing or error
        self.progress.emit()
        self.start()

    def _failed(self, error):
        if error.name in _OF_THE_ENTRY and not self._all:
            self._next(error)
        elif error.name in _PASSES and self._tries > 0 and not self._stopped:
            self._tries -= 1
            self._job = None
            GLib.timeout_add_seconds(_BETWEEN, self.start)
        else:
            self._end(error)

    def _go_on_or_end(self, error):
        """A restore of everything is gone on with by the daemon, in another job: when the
        school server is back, or the daemon. Where there is none, it is over."""
        def operation_came(path, operation):
            if operation == 'restore':
                self._follow(path)
            else:
                self._end(error)

        def jobs_came(jobs):
            if jobs:
                self._get(jobs[0], JOB_INTERFACE, 'Operation', lambda name: operation_came(jobs[0], name))
            else:
                self._end(error)
        self._get(PATH, INTERFACE, 'Jobs', jobs_came)
        return False

    def _get(self, path, interface, name, done):
        self._daemon.ask(path, 'org.freedesktop.DBus.Properties', 'Get', GLib.Variant('(ss)', (interface, name)),
                         done, self._end)

    def _end(self, error):
        if error is not None:
            logging.info('backup: not all that should come back is back: %r', error)
        self._job = None
        self.over.emit(error)
