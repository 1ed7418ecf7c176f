# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup daemon, org.laptop.Backup, without ever waiting for it.

The shell draws and must not stop for a daemon that is slow, absent or upgraded
under it. So every call here is answered later, by one of two functions:

    daemon.call('Restore', ('',), done, failed)

done(*answer) gets what the method answers, as Python's own types; failed(error) an
Error. Exactly one of them is called, once, from the main loop. None of this raises
because of the daemon.
"""

import logging

from gi.repository import Gio
from gi.repository import GLib
from gi.repository import GObject

NAME = 'org.laptop.Backup'
PATH = '/org/laptop/Backup'
INTERFACE = 'org.laptop.Backup'
JOB_INTERFACE = 'org.laptop.Backup.Job'
_PROPERTIES = 'org.freedesktop.DBus.Properties'
_ERRORS = 'org.laptop.Backup.Error.'

# What the methods take.
_SIGNATURES = {
    'Register': '()', 'CheckServer': '()', 'TrustServer': '(s)', 'Backup': '()', 'BackupWithOptions': '(a{sv})',
    'ListSnapshots': '()', 'Restore': '(s)', 'RestoreWithOptions': '(sa{sv})', 'RestoreEntry': '(ss)',
    'FindBackups': '()', 'Claim': '(ss)', 'Dismiss': '(s)', 'Cancel': '(o)', 'Wait': '(o)',
}

# What they answer, where that is used. A daemon that was upgraded under the shell, and
# answers anything else, is as good as absent.
_ANSWERS = {
    'Backup': '(o)', 'BackupWithOptions': '(o)', 'Restore': '(o)', 'RestoreWithOptions': '(o)', 'RestoreEntry': '(o)',
    'ListSnapshots': '(aa{sv})', 'FindBackups': '(aa{sv})', 'Claim': '(ss)', 'Wait': '(sss)', 'GetAll': '(a{sv})',
    'Get': '(v)', 'find': '(aa{sv}u)', 'find_ids': '(as)',
}

# Milliseconds; what asks the school server is answered within 20 s.
_PATIENCE = 30000
_FOREVER = GLib.MAXINT32


class Error(object):
    """Why a call failed: name is the last word of the error's name ('ServerUnavailable',
    …; 'Absent' where there is no daemon), message a sentence for people."""

    def __init__(self, name, message):
        self.name = name
        self.message = message

    def __repr__(self):
        return '%s: %s' % (self.name, self.message)


def _error(exception):
    remote = Gio.DBusError.get_remote_error(exception) or ''
    message = exception.message.removeprefix('GDBus.Error:%s: ' % remote)
    if remote.startswith(_ERRORS):
        return Error(remote[len(_ERRORS):], message)
    return Error('Absent', message)


class Daemon(GObject.GObject):
    """The daemon as it is now.

    properties is a dict of its D-Bus properties as they were last heard of, empty
    until then. It is kept when the daemon leaves, which it does when it has nothing
    to do: what it said is still so.
    """

    changed = GObject.Signal('changed')
    # Something has become of a job: path, operation, result, error name, message.
    job_over = GObject.Signal('job-over', arg_types=[str, str, str, str, str])
    # Something has become of a claim: account, state.
    claim_changed = GObject.Signal('claim-changed', arg_types=[str, str])

    def __init__(self):
        GObject.GObject.__init__(self)
        self.properties = {}
        self._bus = None
        try:
            self._bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
        except GLib.Error as e:
            logging.error('backup: no session bus: %s', e)
            return
        self.listen(PATH, _PROPERTIES, 'PropertiesChanged', '(sa{sv}as)', self.__properties_changed_cb)
        self.listen(PATH, INTERFACE, 'JobRemoved', '(ossss)', self.job_over.emit)
        self.listen(PATH, INTERFACE, 'ClaimChanged', '(ss)', self.claim_changed.emit)

    def listen(self, path, interface, signal, kind, callback):
        """Calls back with what a signal tells, if it is of that kind. Answers what
        unlisten takes."""
        def heard(bus, sender, path, interface, signal, parameters):
            if parameters.get_type_string() == kind:
                _tell(callback, *parameters.unpack())
        return self._bus.signal_subscribe(NAME, interface, signal, path, None, Gio.DBusSignalFlags.NONE, heard)

    def unlisten(self, listener):
        self._bus.signal_unsubscribe(listener)

    def get(self, name, default):
        """A property as it was last heard of; default where it is not known, or is
        not what it was when this was written."""
        return typed(self.properties, name, default)

    def jobs(self):
        """The paths of those that run."""
        return [path for path in self.get('Jobs', []) if isinstance(path, str) and GLib.Variant.is_object_path(path)]

    def refresh(self, done=None, failed=None):
        """Asks for all properties, which starts the daemon where it does not run."""
        def answered(properties):
            self.properties = properties
            self.changed.emit()
            _tell(done)
        self.ask(PATH, _PROPERTIES, 'GetAll', GLib.Variant('(s)', (INTERFACE,)), answered, failed)

    def question(self, method, arguments=()):
        """Calls a method whose answer somebody is going to wait for; see Question."""
        return Question(self._bus, method, arguments)

    def call(self, method, arguments=(), done=None, failed=None, forever=False):
        """Calls a method of org.laptop.Backup. forever: it is answered when it is
        over, however long that takes (Wait)."""
        self.ask(PATH, INTERFACE, method, GLib.Variant(_SIGNATURES[method], arguments), done, failed,
                 _FOREVER if forever else _PATIENCE)

    def ask(self, path, interface, method, arguments, done=None, failed=None, patience=_PATIENCE):
        """Calls any method of the daemon's, with a GLib.Variant of its arguments."""
        if self._bus is None:
            GLib.idle_add(_tell, failed, Error('Absent', ''))
            return

        def answered(bus, result):
            try:
                answer = bus.call_finish(result).unpack()
            except GLib.Error as e:
                error = _error(e)
                logging.info('backup: %s: %r', method, error)
                _tell(failed, error)
                return
            _tell(done, *answer)

        self._bus.call(NAME, path, interface, method, arguments, _answer(method), Gio.DBusCallFlags.NONE, patience,
                       None, answered)

    def __properties_changed_cb(self, interface, changed, gone_):
        if interface == INTERFACE:
            self.properties.update(changed)
            self.changed.emit()


class Question(object):
    """A call whose answer can be waited for, though not for long: for where Sugar
    itself does not wait.

    It is answered in a main context of its own, so that nothing else of the shell
    runs meanwhile. One that takes longer goes on: it may be waited for again.
    """

    def __init__(self, bus, method, arguments):
        self.answer = None
        self.error = None
        self._context = GLib.MainContext()
        if bus is None:
            self.error = Error('Absent', '')
            return
        self._context.push_thread_default()
        try:
            bus.call(NAME, PATH, INTERFACE, method, GLib.Variant(_SIGNATURES[method], arguments), _answer(method),
                     Gio.DBusCallFlags.NONE, _PATIENCE, None, self.__answered_cb)
        finally:
            self._context.pop_thread_default()

    def over(self):
        return self.answer is not None or self.error is not None

    def wait(self, seconds):
        """Waits that long at most, and tells whether it is over."""
        late = []
        alarm = GLib.timeout_source_new(int(seconds * 1000))
        alarm.set_callback(lambda *arguments: late.append(True))
        alarm.attach(self._context)
        while not self.over() and not late:
            self._context.iteration(True)
        alarm.destroy()
        return self.over()

    def __answered_cb(self, bus, result):
        try:
            self.answer = bus.call_finish(result).unpack()
        except GLib.Error as e:
            self.error = _error(e)


class Job(GObject.GObject):
    """A job of the daemon's, followed to its end, also over a restart of the daemon.

    over is emitted once: result ('done', 'partial', 'cancelled', 'failed'), the last
    word of the error's name, message. 'Lost': the daemon was killed, and the next one
    does not know the job.
    """

    progress = GObject.Signal('progress')
    over = GObject.Signal('over', arg_types=[str, str, str])

    def __init__(self, daemon, path):
        GObject.GObject.__init__(self)
        self.path = path
        self.properties = {}
        self._daemon = daemon
        self._ended = False
        self._listener = daemon.listen(path, _PROPERTIES, 'PropertiesChanged', '(sa{sv}as)',
                                       self.__properties_changed_cb)
        daemon.ask(path, _PROPERTIES, 'GetAll', GLib.Variant('(s)', (JOB_INTERFACE,)), self._heard)
        self._wait(tries=3)

    def get(self, name, default):
        """A property as it was last heard of, as Daemon.get."""
        return typed(self.properties, name, default)

    def fraction(self):
        """How much is done, 0 to 1, or None where nobody can tell."""
        if not self.get('ProgressValid', False):
            return None
        return min(max(self.get('Progress', 0.0), 0.0), 1.0)

    def seconds_left(self):
        """How long it still takes, or None where nobody can tell."""
        end = self.get('ExpectedEndTime', 0)
        if not end:
            return None
        return max(end / 1e6 - GLib.get_real_time() / 1e6, 0)

    def cancel(self):
        self._daemon.call('Cancel', (self.path,))

    def _wait(self, tries):
        def failed(error):
            # The daemon was ended or upgraded: the next one knows what became of it.
            if tries > 1:
                GLib.timeout_add_seconds(1, self._wait, tries - 1)
            elif error.name == 'InvalidArgument':
                self._end('failed', 'Lost', '')
            else:
                self._end('failed', error.name, error.message)
        self._daemon.call('Wait', (self.path,), self._waited, failed, forever=True)
        return False

    def _waited(self, result, error_name, message):
        self._end(result, error_name.rpartition('.')[2], message)

    def _end(self, result, error_name, message):
        if self._ended:
            return
        self._ended = True
        self._daemon.unlisten(self._listener)
        self.over.emit(result, error_name, message)

    def _heard(self, properties):
        self.properties.update(properties)
        if not self._ended:
            self.progress.emit()

    def __properties_changed_cb(self, interface, changed, gone_):
        if interface == JOB_INTERFACE:
            self._heard(changed)


_daemon = None


def get_daemon():
    """The one that all of the shell shares."""
    global _daemon
    if _daemon is None:
        _daemon = Daemon()
    return _daemon


def _answer(method):
    return GLib.VariantType(_ANSWERS[method]) if method in _ANSWERS else None


def typed(properties, name, default):
    """One of what the daemon tells; default where it does not, or something else."""
    value = properties.get(name, default)
    return value if isinstance(value, type(default)) else default


def _tell(callback, *arguments):
    if callback is not None:
        try:
            callback(*arguments)
        except Exception:
            # Ours to mend; the shell goes on.
            logging.exception('backup: what the daemon said could not be shown')
    return False
