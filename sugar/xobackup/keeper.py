# SPDX-License-Identifier: GPL-3.0-or-later
"""Sees to it, from within the shell, that backups are made, and knows how things
stand.

Nothing is polled: the daemon tells what changes. It is asked for a backup when a
network comes and once an hour, and decides itself whether one is due.
"""

import logging
import os
import random
import threading
import time

from gi.repository import Gio
from gi.repository import GLib
from gi.repository import GObject

from xobackup import notify
from xobackup import words
from xobackup.daemon import Error
from xobackup.daemon import Job
from xobackup.offers import Offers
from xobackup.words import _

_HOUR = 3600
_DAY = 24 * _HOUR
OLD = 3 * _DAY
ALARM = 7 * _DAY

# Seconds after the start when a backup that could be made has been made.
_MADE = 600

# A network that comes is told of several times, and takes a moment to be of use; one
# that comes and goes is not asked for each time: ms.
_SETTLES = 5000
_FLAPS = 60000


class Keeper(GObject.GObject):
    """
    daemon, offers: which see.
    job: the one that runs, or None.
    absent: why the daemon does not answer, or None.
    error: why what somebody asked for last came to nothing, or None.
    waiting: somebody has asked for something, and the daemon has not said yet.
    """

    changed = GObject.Signal('changed')

    def __init__(self, daemon):
        GObject.GObject.__init__(self)
        self.daemon = daemon
        self.offers = Offers(daemon)
        self.job = None
        self.absent = None
        self.error = None
        self.waiting = False
        self._asked = None  # the job that somebody asked for
        self._next = None  # what was asked for while another job ran
        self._ended = None  # the last one that was followed to its end: who crashed has not said so
        self._network = None
        self._coming = 0
        self._came = None  # when it was last asked because of a network
        daemon.connect('changed', self.__daemon_changed_cb)
        daemon.connect('job-over', self.__job_over_cb)
        self.offers.connect('changed', self._tell)
        self.offers.connect('let-in', lambda offers: self.restore())

    def start(self, network):
        """From now on backups are asked for. network: a Gio.NetworkMonitor"""
        self._network = network
        # With NetworkManager, the one when there are routes, the other when it says that it is connected. It never
        # says so of a school's network that leads nowhere else: the daemon finds out whether there is one.
        network.connect('network-changed', self.__network_changed_cb)
        network.connect('notify::network-available', self.__network_changed_cb)
        # A class that is switched on at the same minute does not ask at the same one of each hour.
        GLib.timeout_add_seconds(random.randint(60, _HOUR), self.__hour_cb)
        GLib.timeout_add_seconds(_MADE, self._warn)
        self.attempt('schedule')

    def look(self, then=None):
        """Asks the daemon how things stand."""
        def heard():
            self.offers.look()
            if then is not None:
                then()
        self.daemon.refresh(heard, self.__absent_cb)

    def attempt(self, trigger):
        """Asks for a backup that nobody waits for."""
        def heard():
            if self.state() == 'idle' and not self.offers.open():
                self.daemon.call('BackupWithOptions', ({'trigger': GLib.Variant('s', trigger)},))
        self.look(heard)

    def state(self):
        return self.daemon.get('State', '')

    def last_backup(self):
        """Unix seconds; 0: never"""
        return self.daemon.get('LastBackup', 0)

    def mood(self):
        """How anxious one has to be, which is the name of an icon."""
        if self.offers.backups or self.offers.sign:
            return 'ask'
        if self.absent or self.state() == 'new-server':
            return 'alarm'
        if not self.last_backup():
            return 'alarm' if self.state() == 'idle' else 'never'
        age = time.time() - self.last_backup()
        return 'alarm' if age >= ALARM else 'old' if age >= OLD else 'fresh'

    def back_up(self):
        self._ask('Backup')

    def restore(self):
        self._ask('Restore', ('',))

    def register(self):
        """Makes this laptop known, and saves the Journal at once."""
        self._wait()
        self.daemon.call('Register', (), self.back_up, self._failed)

    def cancel(self):
        self.waiting, self._next = False, None
        if self.job is not None:
            self.job.cancel()

    def _ask(self, method, arguments=()):
        """Begins a job; when the one that runs is over, if there is one."""
        def failed(error):
            if error.name == 'Busy' and self.job is not None:
                self._next = method, arguments
            else:
                self._failed(error)
        self._wait()
        self.daemon.call(method, arguments, self._begun, failed)

    def _wait(self):
        self.waiting, self.error = True, None
        self._tell()

    def _begun(self, path):
        self.waiting, self._asked = False, path
        self._follow(path)
        self._tell()

    def _failed(self, error):
        self.waiting, self.error = False, error
        self._tell()

    def _tell(self, *arguments):
        self.changed.emit()

    def _follow(self, path):
        """Follows a job to its end, once."""
        if path in (self._ended, self.job and self.job.path):
            return
        self.job = Job(self.daemon, path)
        self.job.connect('progress', self._tell)
        self.job.connect('over', self.__over_cb)

    def _warn(self):
        """Says once a week that nothing has been saved for a week."""
        last = self.last_backup()
        if not last or time.time() - last < ALARM or not _not_told_this_week():
            return
        notify.notify(_('Your Journal is not safe'),
                      _('It was saved at school %s for the last time. Please bring the laptop to school, '
                        'or tell your teacher.') % words.when(last), 'alarm')

    def __daemon_changed_cb(self, daemon):
        self.absent = None
        for path in daemon.jobs()[:1]:
            self._follow(path)
        self._tell()

    def __absent_cb(self, error):
        self.absent = error
        self._tell()

    def __over_cb(self, job, result, error_name, message):
        self._ended = job.path
        if job is self.job:
            self.job = None
        if job.path == self._asked and result == 'failed':
            self.error = Error(error_name, message)
        if self._next is not None:
            (method, arguments), self._next = self._next, None
            self._ask(method, arguments)
        else:
            self._tell()

    def __job_over_cb(self, daemon, path, operation, result, error_name, message):
        if operation == 'restore':
            _tell_restored(result, Error(error_name.rpartition('.')[2], message))
        elif operation == 'backup' and result == 'failed':
            self._warn()

    def __network_changed_cb(self, monitor, what):
        if not self._coming:
            ago = _FLAPS if self._came is None else (time.monotonic() - self._came) * 1000
            self._coming = GLib.timeout_add(int(max(_SETTLES, _FLAPS - ago)), self.__network_here_cb)

    def __network_here_cb(self):
        self._coming, self._came = 0, time.monotonic()
        self.attempt('network')
        return False

    def __hour_cb(self):
        self._warn()
        self.attempt('schedule')
        GLib.timeout_add_seconds(_HOUR, self.__hour_cb)
        return False


def find_network(found):
    """Calls found with the Gio.NetworkMonitor. Whoever makes that waits for NetworkManager, for 25 s if that
    hangs: a thread, and not the shell."""
    def find():
        GLib.idle_add(found, Gio.NetworkMonitor.get_default())
    threading.Thread(target=find, daemon=True).start()


def _tell_restored(result, error):
    """In few words: Sugar shows some twenty letters of the first, and two lines."""
    if result == 'done':
        notify.notify(_('Your Journal is back'), _('It is all there.'))
    elif result == 'partial':
        notify.notify(_('Your Journal is back'),
                      _('Not everything could be brought back. Please tell your teacher.'), 'old')
    elif result == 'failed':
        notify.notify(_('Your Journal is not back yet'), words.failure(error), 'alarm')


def _not_told_this_week():
    """Answers yes once a week, also over restarts of the shell."""
    note = os.path.join(GLib.get_user_cache_dir(), 'xo-backup-warned')
    try:
        if 0 <= time.time() - os.stat(note).st_mtime < ALARM:  # else the clock was wrong
            return False
    except OSError:
        pass  # never yet
    try:
        os.makedirs(os.path.dirname(note), exist_ok=True)
        with open(note, 'w'):
            pass
    except OSError as e:
        logging.error('backup: %s', e)
    return True
